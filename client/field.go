package client

import (
	"strconv"
	"strings"
	"time"
)

const (
	maxField  = 8 << 10 // bytes of a RateLimit-Policy field that are read
	maxWindow = 366 * 24 * time.Hour
)

// quota is one member of a RateLimit-Policy field.
type quota struct {
	name   string
	limit  int64
	window time.Duration
}

// parsePolicies reads a RateLimit-Policy field
// (draft-ietf-httpapi-ratelimit-headers), a list of strings with parameters:
//
//	"login.user";q=50;w=300, "login.ip";q=30;w=300
//
// As structured fields want it (RFC 9651), one bad member spoils the field:
// nil. A member without a usable q and w is left out.
func parsePolicies(field string) []quota {
	if len(field) > maxField {
		return nil
	}
	var out []quota
	s := scanner{field}
	for s.skip(" "); s.rest != ""; {
		q, ok := s.member()
		if !ok {
			return nil
		}
		if q.limit > 0 && q.window > 0 && q.window <= maxWindow {
			out = append(out, q)
		}
		if s.skip(" \t"); s.rest == "" {
			break
		}
		if !s.take(',') {
			return nil
		}
		if s.skip(" \t"); s.rest == "" {
			return nil
		}
	}
	return out
}

// scanner eats a structured field from the left.
type scanner struct{ rest string }

func (s *scanner) skip(cutset string) { s.rest = strings.TrimLeft(s.rest, cutset) }

func (s *scanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) member() (q quota, ok bool) {
	if q.name, ok = s.item(); !ok {
		return q, false
	}
	for s.take(';') {
		s.skip(" ")
		key, ok := s.token()
		if !ok {
			return q, false
		}
		value := ""
		if s.take('=') {
			if value, ok = s.item(); !ok {
				return q, false
			}
		}
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil: // a parameter of another kind
		case key == "q":
			q.limit = n
		case key == "w" && n <= int64(maxWindow/time.Second):
			q.window = time.Duration(n) * time.Second
		}
	}
	return q, true
}

// item reads a quoted string, or a token or number.
func (s *scanner) item() (string, bool) {
	if !s.take('"') {
		return s.token()
	}
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.rest = s.rest[i+1:]
			return b.String(), true
		case c == '\\':
			i++
			if i == len(s.rest) || s.rest[i] != '"' && s.rest[i] != '\\' {
				return "", false
			}
			b.WriteByte(s.rest[i])
		case c < ' ' || c > '~':
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// token reads up to the next delimiter.
func (s *scanner) token() (string, bool) {
	end := strings.IndexAny(s.rest, ";,= \t\"")
	if end < 0 {
		end = len(s.rest)
	}
	t := s.rest[:end]
	s.rest = s.rest[end:]
	return t, t != ""
}
