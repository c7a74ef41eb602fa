package guard

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

const (
	maxUpload    = 100 << 20       // bytes: of the largest class, for when Gantry is away
	pulseTimeout = 2 * time.Second // of the question whether Gantry is there
	pulseHolds   = time.Second     // how long its answer counts
	drained      = 32 << 20        // bytes of a refused body that are read, so that the caller reads the answer
	drainTimeout = 5 * time.Second
)

// UploadOption changes what Upload does.
type UploadOption func(*uploadOptions)

type uploadOptions struct{ quarantine Quarantine }

// WithQuarantine keeps uploads going while Gantry is away: they go to q, and
// the handler runs with an upload in the state "quarantined". Gantry verifies
// it when it is back. The default answers 503.
func WithQuarantine(q Quarantine) UploadOption {
	return func(o *uploadOptions) { o.quarantine = q }
}

type uploadedKey struct{}

func contextWith(ctx context.Context, u api.MediaUpload) context.Context {
	return context.WithValue(ctx, uploadedKey{}, u)
}

// Uploaded is the upload of the request that a handler behind Upload serves.
func Uploaded(ctx context.Context) (api.MediaUpload, bool) {
	u, ok := ctx.Value(uploadedKey{}).(api.MediaUpload)
	return u, ok
}

// Upload is for endpoints that receive a file: as the body itself, its name in
// the parameter filename; or as the one file of a multipart form. The file
// goes to Gantry while it arrives, as an upload of the owner, and the handler
// runs only if it passes and is stored: Uploaded then tells where. owner must
// return what the host has authenticated; without it the answer is 401.
//
// The handler gets no body. A form's other fields, at most 64 KiB, are in
// r.Form, r.PostForm and r.MultipartForm. A handler that does not want the
// file after all calls client.Client.DeleteUpload.
//
// A refusal is Gantry's problem in the caller's language, with the limit and
// the actual value: 413, 415 or 422 about the file, 400 about the request, 429
// RATE_LIMITED by the policy MEDIA_UPLOAD. Nothing of the file stays.
//
// When Gantry is away, or answers with what is no verdict, such as to a wrong
// key, the error goes to the hook and nothing passes unverified: see
// WithQuarantine. With it, each file is also written to a temporary one as it
// passes, which is removed before the handler runs: what Gantry was given when
// it died is not lost. An upload in quarantine has an id, which is Gantry's
// once it is verified (client.Client.Upload), and neither name nor type yet:
// show it to nobody. Limits do not count there, but for 100 MB a file.
//
// A file that stops arriving for 30 s is given up; the server's ReadTimeout
// does not count for it.
func (g *Guard) Upload(owner func(*http.Request) string, opts ...UploadOption) func(http.Handler) http.Handler {
	u := &uploads{g: g, pulse: &pulse{c: g.c}}
	for _, opt := range opts {
		opt(&u.o)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who := owner(r)
			if who == "" {
				writeProblem(w, problemOf(r, api.CodeUnauthenticated, "the request has no owner to store the file for"))
				return
			}
			if served, ok := u.receive(w, r, who); ok {
				next.ServeHTTP(w, served)
			}
		})
	}
}

// uploads is what the requests of one endpoint share.
type uploads struct {
	g     *Guard
	o     uploadOptions
	pulse *pulse
}

// receive takes the file in. It answers the request itself unless the file
// passed; the handler then serves what it returns.
func (u *uploads) receive(w http.ResponseWriter, r *http.Request, owner string) (*http.Request, bool) {
	in, err := incomingOf(w, r)
	if err != nil {
		u.fail(w, r, in, err)
		return nil, false
	}
	in.meta.UserID = owner
	up, err := u.deliver(r, in)
	if err == nil {
		if err = in.rest(); err != nil && up.State != stateQuarantined {
			u.discard(r, up)
		}
	}
	if err != nil {
		u.fail(w, r, in, err)
		return nil, false
	}
	return in.served(r, up), true
}

const stateQuarantined = "quarantined"

// errAway is the error of a file that neither Gantry nor the quarantine took.
var errAway = errors.New("guard: the upload could not be taken")

// deliver sends the file to Gantry, or into quarantine.
func (u *uploads) deliver(r *http.Request, in *incoming) (api.MediaUpload, error) {
	ctx := r.Context()
	if err := u.pulse.check(ctx); err != nil {
		u.g.hook(r, err)
		return u.hold(r, in)
	}
	if u.o.quarantine != nil {
		if err := in.file.keep(); err != nil {
			u.g.hook(r, fmt.Errorf("guard: an upload has no temporary file, and is lost if Gantry dies meanwhile: %w", err))
		}
		defer in.file.forget()
	}
	up, err := u.g.c.UploadMedia(ctx, in.meta, &in.file)
	var e *client.Error
	switch failed := in.file.cause(); {
	case err == nil:
		return up, nil
	case ctx.Err() != nil:
		return up, ctx.Err()
	case failed != nil:
		return up, failed
	case errors.As(err, &e) && judges(e):
		return up, e
	}
	u.pulse.stopped()
	u.g.hook(r, err)
	return u.hold(r, in)
}

// hold puts the whole file into quarantine.
func (u *uploads) hold(r *http.Request, in *incoming) (api.MediaUpload, error) {
	if u.o.quarantine == nil {
		return api.MediaUpload{}, errAway
	}
	body, err := in.file.whole()
	if err != nil {
		u.g.hook(r, fmt.Errorf("guard: the upload cannot be quarantined: %w", err))
		return api.MediaUpload{}, errAway
	}
	n := &counter{r: body}
	up := api.MediaUpload{ID: strings.ToLower(rand.Text()[:20]), UserID: in.meta.UserID, State: stateQuarantined, Scanned: "unscanned", CreatedAt: time.Now().UTC()}
	if err := u.o.quarantine.Put(r.Context(), api.MediaAwayKey(up.UserID, up.ID, in.meta.Filename), n); err != nil {
		if failed := in.file.cause(); failed != nil {
			return up, failed
		}
		u.g.hook(r, fmt.Errorf("guard: the upload was not put into quarantine: %w", err))
		return up, errAway
	}
	up.Size = n.n
	return up, nil
}

// discard gives back a file that is stored for a request that is broken.
func (u *uploads) discard(r *http.Request, up api.MediaUpload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), gateTimeout)
	defer cancel()
	if err := u.g.c.DeleteUpload(ctx, up.ID); err != nil {
		u.g.hook(r, fmt.Errorf("guard: the upload %s of a broken form stays at Gantry; delete it there: %w", up.ID, err))
	}
}

// fail answers why the file was not taken.
func (u *uploads) fail(w http.ResponseWriter, r *http.Request, in *incoming, err error) {
	in.file.drain()
	var e *client.Error
	var b *badUpload
	switch {
	case errors.As(err, &e):
		u.g.turnAway(w, r, &e.Problem)
	case errors.As(err, &b) && b.code == api.CodeInvalidArgument:
		invalid(w, r, b.detail, b.facts)
	case errors.As(err, &b):
		p := problemOf(r, b.code, b.detail)
		p.Details = b.facts
		writeProblem(w, p)
	default:
		degraded(w, r, "the file could not be checked now, and nothing of it was kept; send it again after Retry-After")
	}
}

// judges reports whether an error is about the file or the request, rather
// than about the host's key or Gantry's state.
func judges(e *client.Error) bool {
	switch e.Problem.Code {
	case api.CodeRateLimited:
		return decides(e)
	case api.CodeFileTooLarge, api.CodeMIMETypeNotAllowed, api.CodeContentMismatch, api.CodeFilenameNotAllowed, api.CodeFileCorrupt, api.CodeImageTooLarge,
		api.CodeMalwareFound, api.CodeInvalidArgument:
		return true
	}
	return false
}

// pulse knows whether Gantry is there, from a question that is asked at most
// once a second: a file is better not begun with if nobody would take it.
type pulse struct {
	c *client.Client

	mu    sync.Mutex
	until time.Time
	err   error
}

// check is nil if Gantry takes files. Requests that ask at once wait for one
// answer.
func (p *pulse) check(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.until) {
		return p.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pulseTimeout)
	defer cancel()
	h, err := p.c.Health(ctx)
	if err == nil && h.Health == "DOWN" {
		err = fmt.Errorf("guard: Gantry says that it is down: %w", client.ErrUnavailable)
	}
	p.err, p.until = err, time.Now().Add(pulseHolds)
	return err
}

// stopped makes the next request ask again.
func (p *pulse) stopped() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = time.Time{}
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
