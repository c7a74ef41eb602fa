package main_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/gantrytest"
)

// TestHelp: every command that --help lists explains itself, and the exit
// codes are where everyone sees them.
func TestHelp(t *testing.T) {
	code, out := run(t, t.TempDir(), "--help")
	if code != 0 || !strings.Contains(strings.Join(strings.Fields(out), " "), "Exit codes: 0 done, yes; 1 done, no") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	_, list, _ := strings.Cut(out, "\nCommands:\n")
	commands := regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)?)(?:  |$)`).FindAllStringSubmatch(list, -1)
	if len(commands) < 15 {
		t.Fatalf("%d commands in\n%s", len(commands), out)
	}
	for _, m := range commands {
		words := strings.Fields(m[1])
		code, out := run(t, t.TempDir(), append(words, "--help")...)
		if code != 0 || !strings.HasPrefix(out, "Usage: gantry "+m[1]) {
			t.Errorf("gantry %s --help: exit %d\n%s", m[1], code, out)
		}
		if code, out := run(t, t.TempDir(), append(words, "--nosuch")...); code != 2 || !strings.Contains(out, "gantry "+m[1]+" --help") {
			t.Errorf("gantry %s --nosuch: exit %d\n%s", m[1], code, out)
		}
	}
}

// TestErrorCatalogue: GET /v1/errors has every code, once, with a message,
// in each language.
func TestErrorCatalogue(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	english := map[string]string{}
	for _, lang := range []string{"en", "pl", "de", "fr", "es", "it", "nl"} {
		a := p.Do(t, "GET", "/v1/errors", nil, "Accept-Language", lang, "Authorization", "")
		var got struct {
			Language string
			Errors   []struct {
				Code, Message, Title, Retry string
				HTTPStatus                  int
			}
		}
		a.Decode(t, &got)
		var codes []fault.Code
		for _, e := range got.Errors {
			codes = append(codes, fault.Code(e.Code))
			if e.Message == "" || e.Title == "" || e.Retry == "" || e.HTTPStatus < 400 {
				t.Errorf("%s %s: %+v", lang, e.Code, e)
			}
			if lang == "en" {
				english[e.Code] = e.Message
			} else if e.Message == english[e.Code] {
				t.Errorf("%s %s is in English: %s", lang, e.Code, e.Message)
			}
		}
		if got.Language != lang || !slices.Equal(codes, fault.Codes()) {
			t.Errorf("%s: language %s, codes %v\nwant %v", lang, got.Language, codes, fault.Codes())
		}
	}
}
