package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
)

// readAll reads a body to its end into b, growing it as needed.
func readAll(r io.Reader, b []byte) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, bodyError(err)
		}
	}
}

// decodeCheck parses an api.CheckRequest: a flat JSON object of five known
// fields. It accepts what encoding/json accepts for that type, and refuses
// more: unknown and repeated keys, wrong case, text after the object. It is
// written out because the hot path would otherwise spend most of its time in
// reflection; a fuzz test holds it against encoding/json.
func decodeCheck(b []byte, out *api.CheckRequest) error {
	*out = api.CheckRequest{}
	d := decoder{b: b}
	if err := d.object(out); err != nil {
		return err
	}
	if d.space(); d.i != len(d.b) {
		return d.fail("text after the object")
	}
	return nil
}

type decoder struct {
	b []byte
	i int
}

// checkFields names the fields of a check, for errors.
func checkFields() []string { return []string{"action", "user", "ip", "device", "cost"} }

func (d *decoder) object(out *api.CheckRequest) error {
	if d.space(); !d.take('{') {
		return d.fail("the body must be a JSON object")
	}
	if d.space(); d.take('}') {
		return nil
	}
	var seen uint8
	for {
		d.space()
		key, err := d.str()
		if err != nil {
			return err
		}
		if d.space(); !d.take(':') {
			return d.fail("a colon is missing after a key")
		}
		d.space()
		if err := d.field(key, out, &seen); err != nil {
			return err
		}
		d.space()
		if d.take('}') {
			return nil
		}
		if !d.take(',') {
			return d.fail("a comma or closing brace is missing")
		}
	}
}

func (d *decoder) field(key []byte, out *api.CheckRequest, seen *uint8) (err error) {
	var text *string
	var bit uint8
	switch string(key) {
	case "action":
		text, bit = &out.Action, 1
	case "user":
		text, bit = &out.User, 2
	case "ip":
		text, bit = &out.IP, 4
	case "device":
		text, bit = &out.Device, 8
	case "cost":
		bit = 16
	default:
		return fault.Invalid("httpapi.check", fault.Field{Field: bounded(string(key)).(string), Problem: "unknown field", Allowed: checkFields()},
			"the body has an unknown field; the fields are action, user, ip, device, cost")
	}
	if *seen&bit != 0 {
		return d.fail("the field " + string(key) + " stands twice")
	}
	*seen |= bit
	if d.literal("null") {
		return nil
	}
	if text == nil {
		out.Cost, err = d.integer()
		return err
	}
	if d.i >= len(d.b) || d.b[d.i] != '"' {
		return d.wrongType(string(key), "string")
	}
	v, err := d.str()
	*text = string(v)
	return err
}

// str reads a string; what has no escapes is a slice of the body.
func (d *decoder) str() ([]byte, error) {
	if !d.take('"') {
		return nil, d.fail("a string was expected")
	}
	start, plain := d.i, true
	for ; d.i < len(d.b); d.i++ {
		switch c := d.b[d.i]; {
		case c == '"':
			raw := d.b[start:d.i]
			d.i++
			if plain && utf8.Valid(raw) {
				return raw, nil
			}
			return d.unescape(start)
		case c == '\\':
			plain = false
			d.i++
		case c < ' ':
			return nil, d.fail("a control character in a string")
		}
	}
	return nil, d.fail("a string does not end")
}

// unescape lets encoding/json read the string that started at start.
func (d *decoder) unescape(start int) ([]byte, error) {
	if !utf8.Valid(d.b[start:d.i]) {
		return nil, d.fail("a string is not valid UTF-8")
	}
	var s string
	if err := json.Unmarshal(d.b[start-1:d.i], &s); err != nil {
		return nil, d.fail("a string has a bad escape")
	}
	return []byte(s), nil
}

func (d *decoder) integer() (int64, error) {
	start := d.i
	for d.i < len(d.b) && (d.b[d.i] == '-' || d.b[d.i] >= '0' && d.b[d.i] <= '9') {
		d.i++
	}
	text := d.b[start:d.i]
	digits := text
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || len(digits) > 1 && digits[0] == '0' {
		return 0, d.wrongType("cost", "whole number")
	}
	if d.i < len(d.b) && (d.b[d.i] == '.' || d.b[d.i] == 'e' || d.b[d.i] == 'E') {
		return 0, d.wrongType("cost", "whole number")
	}
	return n, nil
}

func (d *decoder) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

func (d *decoder) take(c byte) bool {
	if d.i < len(d.b) && d.b[d.i] == c {
		d.i++
		return true
	}
	return false
}

func (d *decoder) literal(s string) bool {
	if len(d.b)-d.i >= len(s) && string(d.b[d.i:d.i+len(s)]) == s {
		d.i += len(s)
		return true
	}
	return false
}

func (d *decoder) fail(problem string) error {
	return fault.Invalid("httpapi.check", fault.Field{Field: "body", Problem: problem, Actual: d.i},
		"the body is not a check: %s (at byte %d)", problem, d.i)
}

func (d *decoder) wrongType(field, want string) error {
	return fault.Invalid("httpapi.check", fault.Field{Field: field, Problem: "wrong type", Limit: want},
		"%s must be a %s", field, want)
}
