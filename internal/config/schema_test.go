package config_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"avalo.app/gantry/internal/config"
)

// checker knows the few keywords of JSON Schema that the schema uses, and
// refuses any other.
type checker struct{ root map[string]any }

func (c checker) check(s map[string]any, v any) error {
	for keyword, arg := range s {
		if err := c.keyword(s, keyword, arg, v); err != nil {
			return err
		}
	}
	return nil
}

func (c checker) keyword(s map[string]any, keyword string, arg, v any) error {
	object, _ := v.(map[string]any)
	switch keyword {
	case "description", "default", "title", "$schema", "$defs":
	case "$ref":
		return c.check(c.root["$defs"].(map[string]any)[strings.TrimPrefix(arg.(string), "#/$defs/")].(map[string]any), v)
	case "anyOf":
		for _, a := range arg.([]any) {
			if c.check(a.(map[string]any), v) == nil {
				return nil
			}
		}
		return fmt.Errorf("%v is none of %v", v, arg)
	case "enum":
		if !slices.Contains(arg.([]any), v) {
			return fmt.Errorf("%v is none of %v", v, arg)
		}
	case "type":
		if types, ok := arg.([]any); !ok && arg != typeOf(v) || ok && !slices.Contains(types, any(typeOf(v))) {
			return fmt.Errorf("%v is no %v", v, arg)
		}
	case "pattern":
		if text, ok := v.(string); ok && !regexp.MustCompile(arg.(string)).MatchString(text) {
			return fmt.Errorf("%q does not match %s", text, arg)
		}
	case "minimum", "maximum":
		if n, ok := v.(float64); ok && (keyword == "minimum" && n < arg.(float64) || keyword == "maximum" && n > arg.(float64)) {
			return fmt.Errorf("%v breaks %s %v", n, keyword, arg)
		}
	case "items":
		list, _ := v.([]any)
		for _, item := range list {
			if err := c.check(arg.(map[string]any), item); err != nil {
				return err
			}
		}
	case "propertyNames":
		for k := range object {
			if err := c.check(arg.(map[string]any), k); err != nil {
				return err
			}
		}
	case "properties":
		for k, p := range arg.(map[string]any) {
			if x, ok := object[k]; ok {
				if err := c.check(p.(map[string]any), x); err != nil {
					return fmt.Errorf("%s: %w", k, err)
				}
			}
		}
	case "additionalProperties":
		return c.additional(s, arg, object)
	default:
		return fmt.Errorf("the test knows no keyword %q", keyword)
	}
	return nil
}

func (c checker) additional(s map[string]any, arg any, object map[string]any) error {
	known, _ := s["properties"].(map[string]any)
	for k, x := range object {
		if _, ok := known[k]; ok {
			continue
		}
		if arg == false {
			return fmt.Errorf("unknown key %q", k)
		}
		if err := c.check(arg.(map[string]any), x); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	return nil
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

func schemaCheck(t *testing.T, doc string) error {
	t.Helper()
	var c checker
	if err := json.Unmarshal(config.Schema(), &c.root); err != nil {
		t.Fatal(err)
	}
	j, err := yaml.YAMLToJSON([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(j, &v); err != nil {
		t.Fatal(err)
	}
	return c.check(c.root, v)
}

func TestSchemaAcceptsWhatPrintWrites(t *testing.T) {
	for _, doc := range []string{"", "server: {listen: ':1', trusted_proxies: [10.0.0.0/8], shutdown_grace: '${GRACE}', max_body: 2MiB}\nstore: {max_conns: '${CONNS}'}",
		"ratelimit: {policies: {LOGIN: {shadow: true, block: {after: 3, for: 15m}}, X: {window: 1h, limit: 1, burst: 2, algorithm: gcra}}}",
		"access: {issuers: [{issuer: 'https://a', audience: b, roles: {x: admin}, default_role: app}]}"} {
		if err := schemaCheck(t, config.Print(mustDecode(t, doc))); err != nil {
			t.Error(err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	for _, doc := range []string{"a: 1", "server: {listn: x}", "store: {max_conns: 0}", "log: {level: loud}", "idempotency: {ttl: 5}", "idempotency: {ttl: 5 parsecs}",
		"ratelimit: {policies: {login: {limit: 1}}}", "ratelimit: {policies: {LOGIN: {rules: [{scope: all}]}}}", "server: []"} {
		if schemaCheck(t, doc) == nil {
			t.Errorf("the schema accepts %s", doc)
		}
	}
}
