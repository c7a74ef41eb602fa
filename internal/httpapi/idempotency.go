package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/idempotency"
)

// replayedHeaders are the headers of an answer that a replay repeats.
func replayedHeaders() []string {
	return []string{"Content-Type", "Content-Language", "Ratelimit", "Ratelimit-Policy", "Cache-Control"}
}

// idempotent answers a request that carries an Idempotency-Key: the stored
// answer if there is one, else the handler's, which is stored. Answers that
// invite a repetition (429, 5xx) are not kept: the claim is given up, unless
// its effect has committed.
func (s *Server) idempotent(route Route, key string, h http.HandlerFunc, w *recorder, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.fail(w, r, bodyError(err))
		return
	}
	ctx := r.Context()
	claim := idempotency.Request{Scope: callerOf(ctx).principal.ID + " " + route.Name, Key: key, InSQL: route.InSQL,
		Fingerprint: fingerprint(r, body)}
	d, err := s.claim(ctx, claim)
	if route.Hot && storeAway(err) {
		// A limit check fails open: without the store it is decided, unclaimed.
		r.Body = io.NopCloser(bytes.NewReader(body))
		h(w, r)
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if d.State == idempotency.Replay {
		s.replay(w, d.Answer)
		return
	}
	r = r.WithContext(idempotency.With(ctx, d.Claim))
	r.Body = io.NopCloser(bytes.NewReader(body))
	tee := &capture{recorder: w}
	h(tee, r)
	s.keep(context.WithoutCancel(ctx), route, d.Claim, tee)
}

// claimTimeout bounds the wait for a claim, as launch bounds the effect.
const claimTimeout = 3 * time.Second

func (s *Server) claim(ctx context.Context, q idempotency.Request) (idempotency.Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	return s.d.Idempotency.Claim(ctx, q)
}

// storeAway reports whether a claim failed for the store's sake.
func storeAway(err error) bool {
	code := fault.CodeOf(err)
	return err != nil && (code == fault.ServiceDegraded || code == fault.Internal)
}

// fingerprint tells requests under one key apart: path, query and body.
func fingerprint(r *http.Request, body []byte) [32]byte {
	hash := sha256.New()
	for _, part := range [...][]byte{[]byte(r.Method), []byte(r.URL.Path), []byte(r.URL.RawQuery)} {
		hash.Write(part)
		hash.Write([]byte{0})
	}
	hash.Write(body)
	return [32]byte(hash.Sum(nil))
}

func (s *Server) replay(w http.ResponseWriter, a idempotency.Stored) {
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the caller may be gone
}

// keep stores the answer or gives the claim up. The caller has its answer
// already: a failure here is logged, and a retry then meets the claim.
func (s *Server) keep(ctx context.Context, route Route, claim idempotency.Claim, c *capture) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := s.keepAnswer(ctx, route, claim, c)
	if err != nil {
		s.d.Log.Error("the answer could not be kept for replay", "requestId", c.Header().Get(requestIDHeader), "error", err)
	}
}

func (s *Server) keepAnswer(ctx context.Context, route Route, claim idempotency.Claim, c *capture) error {
	status := c.code()
	if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
		if status >= http.StatusInternalServerError && !route.InSQL {
			return nil // it may have taken effect: the claim stays, in doubt
		}
		return s.d.Idempotency.Abandon(ctx, claim)
	}
	a := idempotency.Stored{Status: status, Header: map[string]string{}, Body: c.body.Bytes()}
	for _, k := range replayedHeaders() {
		if v := c.Header().Get(k); v != "" {
			a.Header[k] = v
		}
	}
	if route.redact != nil && status < 300 {
		redacted, err := route.redact(a.Body)
		if err != nil {
			return err
		}
		a.Body = redacted
	}
	return s.d.Idempotency.Finish(ctx, claim, a)
}

// capture keeps a copy of the answer as it goes out.
type capture struct {
	*recorder
	body bytes.Buffer
}

func (c *capture) Write(b []byte) (int, error) {
	c.body.Write(b)
	return c.recorder.Write(b)
}

type beginInput struct{ Body api.IdempotencyBeginRequest }
type beginOutput struct{ Body api.IdempotencyBegin }

// hostScope is whose keys the host's operations are: the owner's of the
// credential, not the credential's own. A rotated key, or a second server
// with a key of its own, must meet the claims of the first: a payout that
// became new again would be paid twice.
func hostScope(ctx context.Context) string { return "host " + callerOf(ctx).principal.Owner }

func (s *Server) idempotencyBegin(ctx context.Context, in *beginInput) (*beginOutput, error) {
	b := in.Body
	got, err := s.d.Idempotency.Begin(ctx, idempotency.BeginRequest{Scope: hostScope(ctx), Key: b.Key,
		Fingerprint: b.Fingerprint, Lease: time.Duration(b.LeaseSeconds) * time.Second})
	if err != nil {
		return nil, err
	}
	return &beginOutput{Body: api.IdempotencyBegin{State: string(got.State), Token: got.Token, Answer: got.Answer,
		LeaseExpiresAt: optional(got.LeaseExpiresAt)}}, nil
}

type completeInput struct {
	Body api.IdempotencyCompleteRequest
}

func (s *Server) idempotencyComplete(ctx context.Context, in *completeInput) (*struct{}, error) {
	b, scope := in.Body, hostScope(ctx)
	if !b.Release {
		return nil, s.d.Idempotency.Complete(ctx, scope, b.Key, b.Token, b.Answer)
	}
	if len(b.Answer) > 0 {
		return nil, fault.Invalid("httpapi.complete", fault.Field{Field: "release", Problem: "release and answer together"},
			"release says that the effect did not happen, so there is no answer to keep: send one of the two")
	}
	return nil, s.d.Idempotency.Release(ctx, scope, b.Key, b.Token)
}
