package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"avalo.app/gantry/internal/config"
)

func TestSecretNeverShows(t *testing.T) {
	c := config.Default()
	c.Audit.Key = config.NewSecret(hidden)
	holder := struct{ c config.Config }{c}
	var out bytes.Buffer
	for _, v := range []any{c, &c, holder, c.Audit, c.Audit.Key, &c.Audit.Key, []config.Secret{c.Audit.Key}} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x\n", v, v, v, v, v, v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
	}
	b, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	out.WriteString(config.Print(c))
	if strings.Contains(out.String(), hidden) || strings.Contains(out.String(), fmt.Sprintf("%x", hidden)) {
		t.Error("a secret shows")
	}
	if !strings.Contains(out.String(), "[secret]") {
		t.Error("nothing stands for the secret")
	}
}

// A configuration from a file holds what was written around a variable, too.
func TestDecodedSecretsNeverShow(t *testing.T) {
	c := mustDecode(t, "store: {url: 'postgres://u:"+hidden+"@${KEY}/db'}\naudit: {key: '${HIDDEN}'}\ndata_dir: '/x/${HIDDEN}'\n")
	text := fmt.Sprintf("%+v %#v", struct{ s config.Secret }{c.Store.URL}, c.Audit) + config.Print(c)
	if strings.Contains(text, hidden) {
		t.Error("a secret shows in", text)
	}
	for _, want := range []string{`key: "${HIDDEN}"`, `data_dir: "/x/${HIDDEN}"`, `url: "[secret]"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
	c = mustDecode(t, "store: {url: 'postgres://u:"+hidden+"@${KEY}/db'}\naudit: {key: '${HIDDEN}'}")
	if text := fmt.Sprintf("%+v %#v", c, c); strings.Contains(text, hidden) {
		t.Error("a secret shows in", text)
	}
}
