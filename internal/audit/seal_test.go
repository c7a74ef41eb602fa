package audit_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

var sealTime = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))

func TestSealGolden(t *testing.T) {
	e := audit.Entry{Kind: audit.PolicySet, Actor: "oidc:https://id|anna", Object: "policy:LOGIN", Reason: "Überlast <b> \x00",
		Before: struct {
			Z int
			A string
		}{1, "x"}, After: map[string]any{"n": uint64(math.MaxUint64), "a": nil}}
	leaf, private, err := audit.Seal(e, sealTime, audit.Salt{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	// Written out: these bytes are what logs in the field are made of.
	wantPrivate := `{"actor":"oidc:https://id|anna","object":"policy:LOGIN","reason":"Überlast \u003cb\u003e \u0000",` +
		`"before":{"A":"x","Z":1},"after":{"a":null,"n":18446744073709551615}}`
	wantLeaf := `{"v":1,"kind":"ratelimit.policy_set","at":1772362800123456,"commitment":"qacuR7rWQhzi0RyVyaTBsjJTs6NNuWZ7T1xZPhDAuqI="}`
	if string(private) != wantPrivate {
		t.Errorf("private part\n%s\nwant\n%s", private, wantPrivate)
	}
	if string(leaf) != wantLeaf {
		t.Errorf("leaf\n%s\nwant\n%s", leaf, wantLeaf)
	}
	l, err := audit.ParseLeaf(leaf)
	if err != nil {
		t.Fatal(err)
	}
	if !l.Opens(audit.Salt{1, 2, 3}, private) || l.Opens(audit.Salt{1, 2}, private) || l.Opens(audit.Salt{1, 2, 3}, private[1:]) {
		t.Error("the commitment opens to something else, or not to what was sealed")
	}
	p, err := audit.ParsePrivate(private)
	if err != nil || p.Actor != e.Actor || p.Object != e.Object || p.Reason != e.Reason {
		t.Errorf("private part reads as %+v, %v", p, err)
	}
}

// TestLeafHoldsNothingPrivate seals entries whose private members are all
// one marker, and looks for it in the leaf.
func TestLeafHoldsNothingPrivate(t *testing.T) {
	const marker = "anna@example.com"
	for _, k := range audit.Kinds() {
		leaf, _, err := audit.Seal(audit.Entry{Kind: k, Actor: marker, Object: marker, Reason: marker, Before: marker, After: marker}, sealTime, audit.Salt{})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(leaf, []byte(marker)) {
			t.Errorf("%s: the leaf holds it: %s", k, leaf)
		}
		var members map[string]any
		if err := json.Unmarshal(leaf, &members); err != nil || len(members) != 4 {
			t.Errorf("%s: leaf has members %v, %v", k, members, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	for name, e := range map[string]audit.Entry{
		"an unlisted kind": {Kind: "free text"},
		"an unmarshalable": {Kind: audit.PolicySet, After: func() {}},
		"too much":         {Kind: audit.PolicySet, Reason: strings.Repeat("x", audit.MaxPrivate)},
	} {
		if _, _, err := audit.Seal(e, sealTime, audit.Salt{}); err == nil {
			t.Errorf("%s is sealed", name)
		} else if name == "too much" && fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("%s: %v, want INVALID_ARGUMENT", name, err)
		}
	}
}

func FuzzParseLeaf(f *testing.F) {
	leaf, _, err := audit.Seal(audit.Entry{Kind: audit.PolicySet}, sealTime, audit.Salt{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(leaf)
	f.Add(bytes.Replace(leaf, []byte(`"v":1`), []byte(`"v":2`), 1))
	f.Add(append(leaf, ' '))
	f.Add([]byte(`{"v":1,"v":1,"kind":"a.b","at":0,"commitment":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := audit.ParseLeaf(data)
		if err != nil {
			return
		}
		if !bytes.Equal(l.Marshal(), data) {
			t.Errorf("%q has the second encoding %q", l.Marshal(), data)
		}
		if !l.Kind.Valid() {
			t.Errorf("kind %q is accepted", l.Kind)
		}
	})
}
