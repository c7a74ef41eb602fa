package httpapi

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/ratelimit"
)

// buffers are the bodies of the hot path, in and out.
type buffers struct {
	in, out []byte
	req     api.CheckRequest
}

var bufferPool = sync.Pool{New: func() any { return &buffers{in: make([]byte, 0, 1024), out: make([]byte, 0, 512)} }}

// maxPooled bounds what one pair of buffers keeps from use to use, in bytes:
// bodies up to server.max_body are read, and the usual one has 100.
const maxPooled = 16 << 10

// release gives b back for reuse, unless a huge body has made it huge.
func (b *buffers) release() {
	if !b.huge() {
		bufferPool.Put(b)
	}
}

func (b *buffers) huge() bool { return cap(b.in) > maxPooled }

// check decides and charges: the hot path. 200 with the verdict, or 429 with
// the verdict as details of RATE_LIMITED.
func (s *Server) check(w http.ResponseWriter, r *http.Request) { s.decide(w, r, true) }

// peek answers 200 whatever the verdict: an enquiry is not refused.
func (s *Server) peek(w http.ResponseWriter, r *http.Request) { s.decide(w, r, false) }

func (s *Server) decide(w http.ResponseWriter, r *http.Request, take bool) {
	b := bufferPool.Get().(*buffers)
	defer b.release()
	var err error
	if b.in, err = readAll(r.Body, b.in[:0]); err != nil {
		s.fail(w, r, err)
		return
	}
	if err := decodeCheck(b.in, &b.req); err != nil {
		s.fail(w, r, err)
		return
	}
	ask := s.d.Limits.Check
	if !take {
		ask = s.d.Limits.Peek
	}
	v, err := ask(r.Context(), limitRequest(b.req))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	setLimitHeaders(w.Header(), v)
	if take {
		s.metrics.verdict(v)
		if !v.Allowed {
			s.fail(w, r, Limited(v, b.req.Cost))
			return
		}
	}
	b.out = appendResult(b.out[:0], v)
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(b.out) // the caller may be gone; the check counts all the same
}

var jsonType = []string{"application/json"}

func limitRequest(c api.CheckRequest) ratelimit.Request {
	return ratelimit.Request{Action: c.Action, Cost: c.Cost, Subject: ratelimit.Subject{User: c.User, IP: c.IP, Device: c.Device}}
}

// setLimitHeaders sets the IETF fields (draft-ietf-httpapi-ratelimit-headers)
// and Retry-After. This is the one place that knows their names.
func setLimitHeaders(h http.Header, v ratelimit.Verdict) {
	h["Ratelimit-Policy"] = []string{v.PolicyField}
	var buf [96]byte
	f := append(buf[:0], v.LimitName...)
	f = append(f, ";r="...)
	f = strconv.AppendInt(f, v.Remaining, 10)
	f = append(f, ";t="...)
	f = strconv.AppendInt(f, v.ResetSeconds(), 10)
	h["Ratelimit"] = []string{string(f)}
	if !v.Allowed {
		h["Retry-After"] = []string{strconv.FormatInt(v.RetryAfter(), 10)}
	}
}

// appendResult writes an api.CheckResult. The strings in it are ours (policy
// and scope names, modes) and need no escaping.
func appendResult(b []byte, v ratelimit.Verdict) []byte {
	b = append(b, `{"allowed":`...)
	b = strconv.AppendBool(b, v.Allowed)
	b = append(b, `,"limit":`...)
	b = strconv.AppendInt(b, v.Limit, 10)
	b = append(b, `,"remaining":`...)
	b = strconv.AppendInt(b, v.Remaining, 10)
	b = append(b, `,"resetAt":"`...)
	b = time.UnixMicro(v.ResetAt).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `","retryAfter":`...)
	b = strconv.AppendInt(b, v.RetryAfter(), 10)
	b = append(b, `,"policy":"`...)
	b = append(b, v.Policy...)
	b = append(b, `","scope":"`...)
	b = append(b, v.Scope.String()...)
	b = append(b, `","mode":"`...)
	b = append(b, v.Mode...)
	return append(b, `"}`...)
}

func checkResult(v ratelimit.Verdict) api.CheckResult {
	return api.CheckResult{Allowed: v.Allowed, Limit: v.Limit, Remaining: v.Remaining, ResetAt: time.UnixMicro(v.ResetAt).UTC(),
		RetryAfter: v.RetryAfter(), Policy: v.Policy, Scope: v.Scope.String(), Mode: string(v.Mode)}
}
