package guard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// Bounds of an idempotent endpoint.
const (
	maxKey    = 255      // bytes of an Idempotency-Key
	maxBody   = 1 << 20  // bytes of a request
	maxStored = 47 << 10 // bytes of an answer's body that is kept: as base64 they leave room for the rest
	maxAnswer = 64 << 10 // bytes of a kept answer as JSON: Gantry's bound

	claimTimeout = 10 * time.Second // of each call to Gantry
)

// IdempotentOption changes what Idempotent does.
type IdempotentOption func(*idempotentOptions)

type idempotentOptions struct {
	optional bool
	lease    time.Duration
}

// WithOptionalKey lets a request without an Idempotency-Key pass unclaimed,
// for endpoints whose older callers send none. The default refuses it.
func WithOptionalKey() IdempotentOption {
	return func(o *idempotentOptions) { o.optional = true }
}

// WithLease is how long the handler may take, in whole seconds rounded up,
// from a second to an hour. The default is a minute. A handler that takes
// longer is in doubt meanwhile, and its answer is kept all the same unless a
// repetition came.
func WithLease(d time.Duration) IdempotentOption {
	return func(o *idempotentOptions) { o.lease = d }
}

// InDoubt is the error of a repetition whose first request did not report
// how it ended. Whoever knows whether its effect happened ends the doubt
// with client.IdempotencyComplete: with Key, Token and Release if it did not
// happen, or with an Answer of {} if it did.
type InDoubt struct {
	Key   string // the claim's, hashed
	Token string
}

// Error says what to do.
func (e *InDoubt) Error() string {
	return "guard: the operation " + e.Key + " is in doubt: find out whether it took effect, then complete or release it at Gantry"
}

// Idempotent gives the requests of one principal under one Idempotency-Key
// one run of the handler, across processes and restarts. It is for endpoints
// whose effect must not happen twice, such as a payout. Methods without
// effect (GET, HEAD, OPTIONS, TRACE) pass as they are.
//
// The first request runs the handler. Its answer (status, Content-Type,
// Content-Encoding, Content-Language, Location, and a body of at most 47
// KiB) is kept for every repetition, which gets it with
// Idempotency-Replayed: true. A 429 is not kept: the key is free again. A
// 5xx answer or a panic says nothing about the effect: once the claim's lease
// has ended (a minute, see WithLease), the key is in doubt, until somebody
// finds out what happened and completes or releases it at Gantry, with the
// *InDoubt that the error hook gets at each repetition.
//
// Otherwise the handler does not run, and the answer is a problem:
// 400 INVALID_ARGUMENT without a usable key, and 413 with a body above 1 MiB;
// 401 UNAUTHENTICATED without a principal; 409 CONFLICT while the first
// request runs, is in doubt, or was answered with what could not be kept;
// 422 IDEMPOTENCY_MISMATCH for the key of another request; 503
// SERVICE_DEGRADED when Gantry could not be asked, for whatever reason.
//
// A claim is named by method, path, principal and key, all hashed. principal
// must return what the host has authenticated, the same for the same user.
func (g *Guard) Idempotent(principal func(*http.Request) string, opts ...IdempotentOption) func(http.Handler) http.Handler {
	var o idempotentOptions
	for _, opt := range opts {
		opt(&o)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.Method {
			case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
				next.ServeHTTP(w, r)
				return
			}
			if o.optional && len(r.Header.Values("Idempotency-Key")) == 0 {
				next.ServeHTTP(w, r)
				return
			}
			key, err := keyOf(r)
			if err != nil {
				invalid(w, r, err.Error(), api.InvalidDetails{Field: "Idempotency-Key", Limit: maxKey})
				return
			}
			who := principal(r)
			if who == "" {
				writeProblem(w, problemOf(r, api.CodeUnauthenticated, "the request has no principal to claim the key for"))
				return
			}
			body, ok := readBody(w, r)
			if !ok {
				return
			}
			g.once(w, r, next, api.IdempotencyBeginRequest{Key: digest([]byte(who), []byte(r.Method), []byte(r.URL.Path), []byte(key)),
				Fingerprint:  digest([]byte(r.Method), []byte(r.URL.Path), []byte(r.URL.RawQuery), body),
				LeaseSeconds: int64((o.lease + time.Second - 1) / time.Second)})
		})
	}
}

// once claims the operation, and runs it if it is new.
func (g *Guard) once(w http.ResponseWriter, r *http.Request, next http.Handler, claim api.IdempotencyBeginRequest) {
	// A caller who leaves must not cut the claim off: its token would be lost
	// and the key in doubt.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), claimTimeout)
	defer cancel()
	begun, err := g.c.IdempotencyBegin(ctx, claim)
	var e *client.Error
	switch {
	case errors.As(err, &e) && e.Problem.Code == api.CodeIdempotencyMismatch:
		writeProblem(w, problemOf(r, api.CodeIdempotencyMismatch, "use a new Idempotency-Key for a new request, or repeat the first one unchanged"))
		return
	case err != nil:
		g.hook(r, err)
		degraded(w, r, "the Idempotency-Key could not be claimed and nothing was done; repeat the request with the same key after Retry-After")
		return
	}
	switch begun.State {
	case api.IdempotencyNew:
		g.run(w, r, next, api.IdempotencyCompleteRequest{Key: claim.Key, Token: begun.Token})
	case api.IdempotencyReplay:
		replay(w, r, begun.Answer)
	case api.IdempotencyInProgress:
		conflict(w, r, begun.State, "the first request with this Idempotency-Key is in progress; repeat it later with the same key")
	case api.IdempotencyInDoubt:
		g.hook(r, &InDoubt{Key: claim.Key, Token: begun.Token})
		conflict(w, r, begun.State, "the first request with this Idempotency-Key did not report how it ended; find out whether it took effect before doing it again")
	default:
		g.hook(r, fmt.Errorf("guard: Gantry answered a claim with the state %q", begun.State))
		degraded(w, r, "the Idempotency-Key could not be claimed and nothing was done")
	}
}

// run runs the handler under its claim and keeps the answer. A panic passes
// through and leaves the claim as it is.
func (g *Guard) run(w http.ResponseWriter, r *http.Request, next http.Handler, end api.IdempotencyCompleteRequest) {
	if r.Context().Err() != nil { // nobody waits, and nothing was done
		end.Release = true
		g.end(r, end)
		return
	}
	c := &capture{ResponseWriter: w}
	next.ServeHTTP(c, r)
	switch status := c.code(); {
	case status >= http.StatusInternalServerError:
		return // it may have taken effect
	case status == http.StatusTooManyRequests:
		end.Release = true
	default:
		end.Answer = c.answer()
	}
	g.end(r, end)
}

// end completes or releases a claim. The caller has its answer already: a
// failure goes to the hook, and leaves the key in doubt.
func (g *Guard) end(r *http.Request, end api.IdempotencyCompleteRequest) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), claimTimeout)
	defer cancel()
	if err := g.c.IdempotencyComplete(ctx, end); err != nil {
		g.hook(r, fmt.Errorf("guard: the claim of an Idempotency-Key could not be ended, and becomes in doubt: %w", err))
	}
}

// replay writes a kept answer.
func replay(w http.ResponseWriter, r *http.Request, answer json.RawMessage) {
	var a stored
	if err := json.Unmarshal(answer, &a); err != nil || a.Status < 200 || a.Status > 499 || a.TooLarge {
		conflict(w, r, "answer_not_kept", "the first request with this Idempotency-Key is done, but its answer was not kept; look the result up instead of doing it again")
		return
	}
	for _, name := range keptHeaders() {
		if v, ok := a.Header[name]; ok {
			w.Header().Set(name, v)
		}
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the caller may be gone
}

func conflict(w http.ResponseWriter, r *http.Request, state, detail string) {
	p := problemOf(r, api.CodeConflict, detail)
	p.Details = api.InvalidDetails{Field: "Idempotency-Key", Problem: state}
	writeProblem(w, p)
}

func keyOf(r *http.Request) (string, error) {
	lines := r.Header.Values("Idempotency-Key")
	if len(lines) != 1 || lines[0] == "" {
		return "", errors.New("send one Idempotency-Key header; a new UUID per operation is a good one")
	}
	odd := func(c rune) bool { return c < 0x20 || c > 0x7e }
	if len(lines[0]) > maxKey || strings.IndexFunc(lines[0], odd) >= 0 {
		return "", fmt.Errorf("an Idempotency-Key has at most %d characters of printable ASCII; a UUID is a good one", maxKey)
	}
	return lines[0], nil
}

// readBody reads the body and puts a copy in its place; it has answered when
// ok is false.
func readBody(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	if r.Body == nil {
		return nil, true
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		p := problemOf(r, api.CodeInvalidArgument, fmt.Sprintf("the request body is larger than the limit of %d bytes", maxBody))
		p.Status, p.Details = http.StatusRequestEntityTooLarge, api.InvalidDetails{Field: "body", Problem: "too large", Limit: maxBody}
		writeProblem(w, p)
		return nil, false
	case err != nil:
		invalid(w, r, "the request body could not be read to its end", api.InvalidDetails{Field: "body", Problem: "cut short"})
		return nil, false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, true
}

// digest hashes parts, each with its length so that none runs into the next.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
