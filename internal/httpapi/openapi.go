package httpapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
)

func (s *Server) openAPIConfig() huma.Config {
	c := huma.DefaultConfig("Gantry", s.d.Version)
	c.Info.Description = "Launch control for a backend. Every error is an RFC 9457 problem document with the members listed at GET /v1/errors."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Info.Contact = &huma.Contact{Name: "Gantry", URL: "https://avalo.app/gantry"}
	c.Servers = []*huma.Server{{URL: "/", Description: "this instance"}}
	// Served by the route table's own rows, so that they have permissions too.
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil // no $schema member and no Link header
	c.RejectUnknownQueryParameters = true
	// curl -d says that JSON is a form; so be it, as on the hot path.
	c.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat, "application/x-www-form-urlencoded": huma.DefaultJSONFormat}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An API key (gk_…) or a token of a configured issuer"},
	}
	for _, t := range []struct{ name, text string }{
		{"Rate limits", "Decide requests, and see and change what is decided."},
		{"Guard", "Forward authentication for reverse proxies."},
		{"Idempotency", "Exactly-once for the host's own operations."},
		{"Launch", "Who may sign up: modes, phases, settings, maintenance."},
		{"Signups", "Reserve, confirm and release a slot of the day; count them."},
		{"Guests", "Invites, allowlist and waitlist."},
		{"Hooks", "Calls of authentication providers around a signup."},
		{"Media", "Uploads: judged by their bytes, sanitised, stored once."},
		{"Health", "What was measured: components, background jobs, freshness; maintenance, signals and the status page."},
		{"Incidents", "What fails, who was told and what they said; acknowledge, resolve, silence, and test the receivers."},
		{"Access", "API keys."},
		{"Audit", "The tamper-evident log."},
		{"Operation", "Probes, metrics, configuration and documentation."},
		{"Callable", "The Firebase callable protocol, under the names that old clients call."},
		{"Flags", "The launch state as feature flags, by the OpenFeature Remote Evaluation Protocol."},
	} {
		c.Tags = append(c.Tags, &huma.Tag{Name: t.name, Description: t.text})
	}
	return c
}

// operation is the OpenAPI side of a row.
func (r Route) operation() huma.Operation {
	o := huma.Operation{OperationID: r.Name, Method: r.Method, Path: r.openAPIPath(), Summary: r.Summary, Tags: []string{r.Tag},
		Description: r.Summary + ". Roles: " + roleNames(r.Permission) + ".", DefaultStatus: r.status,
		MaxBodyBytes: -1, // serve bounds every body by the configuration; huma's own bound would come first
		Errors:       []int{400, 429, 500, 503}}
	if !access.May(access.Public, r.Permission) {
		o.Security = []map[string][]string{{"key": {}}}
		o.Errors = []int{400, 401, 403, 429, 500, 503}
	}
	if r.Mutates {
		o.Errors = append(o.Errors, http.StatusConflict)
		o.Parameters = append(o.Parameters, &huma.Param{Name: "Idempotency-Key", In: "header",
			Description: "Repeating a request with the same key and body replays the stored answer for 24 hours",
			Schema:      &huma.Schema{Type: "string", MinLength: ptr(1), MaxLength: ptr(255)}})
	}
	return o
}

func ptr[T any](v T) *T { return &v }

func roleNames(p access.Permission) string {
	var names []string
	for _, r := range access.Roles(p) {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// describeRaw adds the rows that huma did not register.
func (s *Server) describeRaw() {
	doc := s.api.OpenAPI()
	for _, r := range s.routes {
		if item := doc.Paths[r.openAPIPath()]; item != nil && methodOf(item, r.Method) != nil || r.Method == http.MethodOptions || r.twin {
			continue
		}
		o := r.operation()
		status := max(r.status, http.StatusOK)
		ok := &huma.Response{Description: http.StatusText(status)}
		if r.out != nil {
			ok.Content = map[string]*huma.MediaType{"application/json": {Schema: s.schema(r.out, r.Name+"Answer")}}
		}
		o.Responses = map[string]*huma.Response{strconv.Itoa(status): ok}
		if r.Streams {
			ok.Content = map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}
		}
		for _, e := range o.Errors {
			o.Responses[strconv.Itoa(e)] = &huma.Response{Description: http.StatusText(e),
				Content: map[string]*huma.MediaType{"application/problem+json": {Schema: s.schema(api.Problem{}, "Problem")}}}
		}
		if r.failure != nil {
			for _, e := range []int{http.StatusBadRequest, http.StatusNotFound} {
				o.Responses[strconv.Itoa(e)] = &huma.Response{Description: http.StatusText(e),
					Content: map[string]*huma.MediaType{"application/json": {Schema: s.schema(r.failure, r.Name+"Failure")}}}
			}
		}
		if r.in != nil {
			o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: s.schema(r.in, r.Name+"Body")}}}
		}
		for _, name := range pathParams(r.openAPIPath()) {
			o.Parameters = append(o.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: "string"}})
		}
		doc.AddOperation(&o)
	}
}

func (s *Server) schema(v any, hint string) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, hint)
}

func pathParams(path string) (names []string) {
	for seg := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(seg, "{") {
			names = append(names, strings.Trim(seg, "{}"))
		}
	}
	return names
}

func methodOf(p *huma.PathItem, method string) *huma.Operation {
	return map[string]*huma.Operation{"GET": p.Get, "POST": p.Post, "PUT": p.Put, "DELETE": p.Delete, "HEAD": p.Head, "PATCH": p.Patch}[method]
}

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(s.spec) // the caller may be gone
}

//go:embed docs.html
var docsHTML string

// renderDocs makes the document and the readable page, which is one file
// without a script or a foreign host.
func (s *Server) renderDocs() {
	var err error
	if s.spec, err = json.Marshal(s.api.OpenAPI()); err != nil {
		panic(fmt.Sprintf("httpapi: the OpenAPI document does not marshal: %v", err))
	}
	t := template.Must(template.New("docs").Funcs(template.FuncMap{"anchor": anchor}).Parse(docsHTML))
	var b bytes.Buffer
	if err := t.Execute(&b, s.docsData()); err != nil {
		panic(fmt.Sprintf("httpapi: docs page: %v", err))
	}
	s.docs = b.Bytes()
}

func (s *Server) docsPage(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write(s.docs)
}

type docsGroup struct {
	Name, Text string
	Operations []docsOperation
}

type docsOperation struct {
	Method, Path, ID, Summary, Roles string
	Parameters                       []*huma.Param
	Body, Answer                     *huma.Schema
	Status                           string
}

type docsData struct {
	Version string
	Groups  []docsGroup
	Schemas []docsSchema
	Errors  []api.ErrorInfo
}

type docsSchema struct {
	Name   string
	Schema *huma.Schema
	Fields []docsField
}

type docsField struct {
	Name, Type, Text string
	Required         bool
}

func (s *Server) docsData() docsData {
	doc := s.api.OpenAPI()
	d := docsData{Version: s.d.Version, Errors: api.Catalogue()}
	for _, tag := range doc.Tags {
		g := docsGroup{Name: tag.Name, Text: tag.Description}
		for _, r := range s.routes {
			if item := doc.Paths[r.openAPIPath()]; r.Tag == tag.Name && !r.twin && item != nil && methodOf(item, r.Method) != nil {
				g.Operations = append(g.Operations, docsOp(r, methodOf(item, r.Method)))
			}
		}
		d.Groups = append(d.Groups, g)
	}
	schemas := doc.Components.Schemas.Map()
	names := make([]string, 0, len(schemas))
	for name := range schemas {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		d.Schemas = append(d.Schemas, docsSchema{Name: name, Schema: schemas[name], Fields: fields(schemas[name])})
	}
	return d
}

func docsOp(r Route, o *huma.Operation) docsOperation {
	out := docsOperation{Method: r.Method, Path: r.openAPIPath(), ID: r.Name, Summary: r.Summary, Roles: roleNames(r.Permission), Parameters: o.Parameters}
	if o.RequestBody != nil {
		out.Body = o.RequestBody.Content["application/json"].Schema
	}
	for status, resp := range o.Responses {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		out.Status = status
		if c := resp.Content["application/json"]; c != nil {
			out.Answer = c.Schema
		}
	}
	return out
}

func fields(s *huma.Schema) (out []docsField) {
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := s.Properties[name]
		out = append(out, docsField{Name: name, Type: typeOf(p), Text: p.Description, Required: slices.Contains(s.Required, name)})
	}
	return out
}

func typeOf(s *huma.Schema) string {
	switch {
	case s.Ref != "":
		return anchor(s.Ref)
	case s.Type == "array" && s.Items != nil:
		return typeOf(s.Items) + "[]"
	case s.Format != "":
		return s.Type + " (" + s.Format + ")"
	case s.Type == "":
		return "any"
	}
	return s.Type
}

// anchor is the last part of a reference: the schema's name.
func anchor(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }
