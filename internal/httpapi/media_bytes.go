package httpapi

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/media"
)

const (
	// stall is how long a file may stand still on its way.
	stall = 30 * time.Second
	// settling bounds the work behind the last byte: the verdict, the scan, the
	// way into the bucket.
	settling = 2 * time.Minute
)

// patient reads a body as long as it moves: the server's own limits are for
// requests that fit into memory.
type patient struct {
	io.ReadCloser
	c *http.ResponseController
}

func (p patient) Read(b []byte) (int, error) {
	now := time.Now()
	_ = p.c.SetReadDeadline(now.Add(stall)) // a test's recorder has none
	_ = p.c.SetWriteDeadline(now.Add(stall + settling))
	n, err := p.ReadCloser.Read(b)
	if err != nil {
		_ = p.c.SetReadDeadline(time.Time{}) // it would end the request while the file is scanned or stored
		_ = p.c.SetWriteDeadline(time.Now().Add(settling + stall))
	}
	return n, err
}

// steady writes an answer as long as it moves.
type steady struct {
	io.Writer
	c *http.ResponseController
}

func (s steady) Write(b []byte) (int, error) {
	_ = s.c.SetWriteDeadline(time.Now().Add(stall)) // a test's recorder has none
	return s.Writer.Write(b)
}

// incoming is the file of a request.
type incoming struct {
	media.Declared
	owner string
	body  io.Reader
	rest  func() error // what follows the file is no part of it
}

// readUpload finds the file: the body itself, named by the parameters userId
// and filename; or the one file of a multipart form, whose field userId comes
// before it. The parameter userId wins over the field: a host that passes on
// what a user declares must not thereby store for another one.
func readUpload(w http.ResponseWriter, r *http.Request) (incoming, error) {
	r.Body = patient{r.Body, http.NewResponseController(w)}
	q := r.URL.Query()
	in := incoming{owner: q.Get("userId"), body: r.Body, Declared: media.Declared{Name: q.Get("filename"), MIME: r.Header.Get("Content-Type"), Size: r.ContentLength},
		rest: func() error { return nil }}
	essence, params, err := mime.ParseMediaType(in.MIME)
	if essence != "multipart/form-data" {
		return in, nil
	}
	if err != nil || params["boundary"] == "" {
		return in, formError(err)
	}
	beside := &besides{r: r.Body, left: maxBeside}
	return in, in.fromForm(multipart.NewReader(beside, params["boundary"]), beside)
}

// maxBeside bounds what a form holds beside the file, on either side: headers
// are held in memory, and a form may have any number of fields.
const maxBeside = 64 << 10

var errBeside = errors.New("httpapi: too much beside the file")

// besides reads no more than is left, while it is at all.
type besides struct {
	r    io.Reader
	left int64
	free bool
}

func (b *besides) Read(p []byte) (int, error) {
	if b.free {
		return b.r.Read(p)
	}
	if b.left <= 0 {
		return 0, errBeside
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func formError(err error) error {
	if errors.Is(err, errBeside) {
		return fault.Invalid("httpapi.upload", fault.Field{Field: "body", Problem: "too much beside the file", Limit: maxBeside},
			"the form has more than %d bytes beside the file: send only userId and the file", maxBeside)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return &fault.Error{Code: fault.InvalidArgument, Op: "httpapi.upload", Err: err, Msg: "the form is broken or has no file: send one part with a filename",
		Detail: fault.Field{Field: "body", Problem: "no file"}}
}

// maxField bounds a form's field beside the file, in bytes.
const maxField = 1024

func (in *incoming) fromForm(form *multipart.Reader, beside *besides) error {
	for {
		part, err := form.NextRawPart()
		if err != nil {
			return formError(err)
		}
		if part.FileName() == "" && part.FormName() == "userId" {
			b, err := io.ReadAll(io.LimitReader(part, maxField))
			if err != nil {
				return formError(err)
			}
			if in.owner == "" {
				in.owner = string(b)
			}
			continue
		}
		if part.FileName() == "" {
			continue
		}
		beside.free = true
		in.Declared = media.Declared{Name: rawName(part), MIME: part.Header.Get("Content-Type"), Size: -1}
		in.body, in.rest = part, func() error {
			beside.free, beside.left = false, maxBeside
			if _, err := form.NextRawPart(); err != io.EOF {
				return fault.Invalid("httpapi.upload", fault.Field{Field: "body", Problem: "more than one part after the file"}, "send one file a request, as the form's last part")
			}
			return nil
		}
		return nil
	}
}

// rawName is the file's name as it was sent: Part.FileName takes a part of it.
func rawName(p *multipart.Part) string {
	_, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	if err != nil {
		return p.FileName()
	}
	return params["filename"]
}

// inspectMedia judges a file and keeps nothing.
func (s *Server) inspectMedia(w http.ResponseWriter, r *http.Request) {
	in, err := readUpload(w, r)
	if err == nil {
		var got *media.Received
		if got, err = s.d.Media.Inspect(r.Context(), in.owner, in.Declared, in.body); err == nil {
			got.Close()
			if err = in.rest(); err == nil {
				writeJSON(w, http.StatusOK, "application/json", verdictOut(got.Verdict, got.Scanned))
				return
			}
		}
	}
	s.refuseUpload(w, r, err)
}

// uploadMedia judges a file and stores it.
func (s *Server) uploadMedia(w http.ResponseWriter, r *http.Request) {
	in, err := readUpload(w, r)
	if err == nil {
		err = s.d.Media.Charge(r.Context(), in.owner)
	}
	var got *media.Received
	if err == nil {
		got, err = s.d.Media.Receive(r.Context(), in.owner, "upload", in.Declared, in.body)
	}
	if err != nil {
		s.refuseUpload(w, r, err)
		return
	}
	defer got.Close()
	if err := in.rest(); err != nil {
		s.refuseUpload(w, r, err)
		return
	}
	s.keepUpload(w, r, got)
}

// keepUpload stores what passed, once for each Idempotency-Key. Its
// fingerprint is the content's: a body of this size is not read twice.
func (s *Server) keepUpload(w http.ResponseWriter, r *http.Request, got *media.Received) {
	ctx, tee := r.Context(), &capture{recorder: &recorder{ResponseWriter: w}}
	key := r.Header.Get("Idempotency-Key")
	var claim idempotency.Claim
	if key != "" {
		d, err := s.d.Idempotency.Claim(ctx, idempotency.Request{Scope: callerOf(ctx).principal.ID + " uploadMedia", Key: key, InSQL: true,
			Fingerprint: fingerprint(r, []byte(got.SHA256))})
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if d.State == idempotency.Replay {
			s.replay(w, d.Answer)
			return
		}
		claim, ctx = d.Claim, idempotency.With(ctx, d.Claim)
	}
	u, err := got.Keep(ctx, "")
	if err != nil {
		s.fail(tee, r, err)
	} else {
		out := uploadOut(u)
		out.Verdict = new(verdictOut(got.Verdict, got.Scanned))
		writeJSON(tee, http.StatusCreated, "application/json", out)
	}
	if key != "" {
		s.keep(ctx, Route{InSQL: true}, claim, tee)
	}
}

// drained is how much of a refused body is read, so that a client that sends
// before it reads gets the answer.
const drained = 32 << 20

// refuseUpload answers why a file was refused.
func (s *Server) refuseUpload(w http.ResponseWriter, r *http.Request, err error) {
	_, _ = io.CopyN(io.Discard, r.Body, drained) // what does not come needs no reading
	s.fail(w, r, err)
}

// mediaContent reads a verified upload.
func (s *Server) mediaContent(w http.ResponseWriter, r *http.Request) {
	u, body, err := s.d.Media.Open(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer body.Close()
	h := w.Header()
	h.Set("Content-Type", u.Object.MIME)
	h.Set("Content-Length", strconv.FormatInt(u.Object.Stored, 10)) // what breaks off is not taken for whole
	h.Set("Cache-Control", "private, no-store")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": u.Name}))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = io.Copy(steady{w, http.NewResponseController(w)}, body) // the caller may be gone
}
