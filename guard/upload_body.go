package guard

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"avalo.app/gantry/api"
)

const (
	maxFields   = 64 << 10 // bytes of a form's fields beside the file, with their names
	uploadStall = 30 * time.Second
)

// badUpload is what is wrong with a request, in the catalogue's terms.
type badUpload struct {
	code   api.Code
	detail string
	facts  api.InvalidDetails
	err    error
}

func (b *badUpload) Error() string { return b.detail }
func (b *badUpload) Unwrap() error { return b.err }

func badForm(problem, detail string, err error) error {
	return &badUpload{code: api.CodeInvalidArgument, detail: detail, facts: api.InvalidDetails{Field: "body", Problem: problem}, err: err}
}

// incoming is the file of a request, and what came beside it.
type incoming struct {
	meta   api.MediaMetadata
	file   passing
	form   *multipart.Reader // nil: the body is the file
	fields url.Values
	room   int // for fields, in bytes
}

// incomingOf finds the file of a request, after the fields before it.
func incomingOf(w http.ResponseWriter, r *http.Request) (*incoming, error) {
	c := http.NewResponseController(w)
	body := &patient{r: r.Body, c: c}
	in := &incoming{room: maxFields, file: passing{r: body, body: body}}
	in.meta = api.MediaMetadata{Filename: r.URL.Query().Get("filename"), MIMEType: r.Header.Get("Content-Type"), Size: max(r.ContentLength, 0)}
	kind, params, err := mime.ParseMediaType(in.meta.MIMEType)
	if kind != "multipart/form-data" {
		return in, nil
	}
	if err != nil || params["boundary"] == "" {
		return in, badForm("no boundary", "the form's Content-Type is broken: it needs a boundary", err)
	}
	in.form, in.fields = multipart.NewReader(body, params["boundary"]), url.Values{}
	part, err := in.next()
	if err == io.EOF {
		err = badForm("no file", "the form has no file: send one part with a filename", nil)
	}
	if err != nil {
		return in, err
	}
	in.meta = api.MediaMetadata{Filename: rawName(part), MIMEType: part.Header.Get("Content-Type")}
	in.file.r = part
	return in, nil
}

// next reads the form's fields up to its next file, or io.EOF.
func (in *incoming) next() (*multipart.Part, error) {
	for {
		part, err := in.form.NextRawPart()
		if err == io.EOF {
			return nil, err
		}
		if err != nil {
			return nil, badForm("broken", "the form is broken, or broke off: send it again", err)
		}
		if part.FileName() != "" {
			return part, nil
		}
		b, err := io.ReadAll(io.LimitReader(part, int64(in.room)+1))
		if err != nil {
			return nil, badForm("broken", "the form is broken, or broke off: send it again", err)
		}
		if in.room -= len(b) + len(part.FormName()); in.room < 0 {
			return nil, &badUpload{code: api.CodeInvalidArgument, detail: fmt.Sprintf("the form's fields beside the file have more than %d bytes", maxFields),
				facts: api.InvalidDetails{Field: "body", Problem: "fields too large", Limit: maxFields}}
		}
		in.fields.Add(part.FormName(), string(b))
	}
}

// rest reads what follows the file: fields, and no other file.
func (in *incoming) rest() error {
	if in.form == nil {
		return nil
	}
	switch _, err := in.next(); err {
	case io.EOF:
		return nil
	case nil:
		return badForm("more than one file", "send one file a request", nil)
	default:
		return err
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

// served is the request as the handler gets it: the upload instead of a body.
func (in *incoming) served(r *http.Request, up api.MediaUpload) *http.Request {
	out := r.WithContext(contextWith(r.Context(), up))
	out.Body, out.ContentLength = http.NoBody, 0
	if in.form != nil {
		out.PostForm, out.Form = in.fields, maps.Clone(in.fields)
		for name, values := range r.URL.Query() {
			out.Form[name] = append(out.Form[name][:len(out.Form[name]):len(out.Form[name])], values...)
		}
		out.MultipartForm = &multipart.Form{Value: in.fields, File: map[string][]*multipart.FileHeader{}}
	}
	return out
}

// patient reads a body as long as it moves.
type patient struct {
	r io.Reader
	c *http.ResponseController
}

func (p *patient) Read(b []byte) (int, error) {
	_ = p.c.SetReadDeadline(time.Now().Add(uploadStall)) // a test's recorder has none
	n, err := p.r.Read(b)
	if err != nil {
		_ = p.c.SetReadDeadline(time.Time{}) // it would end the request while the handler runs
	}
	return n, err
}

// passing is a file on its way. The client's transport may still be reading it
// when the request to Gantry has failed: what it read lies in the spool, and
// the rest is read behind it.
type passing struct {
	r    io.Reader
	body *patient // of which r is a part

	mu     sync.Mutex
	n      int64
	spool  *os.File // nil: none
	lost   error    // why the spool is not whole
	ended  bool     // the transport has no business any more
	failed error    // of r
}

var errEnded = errors.New("guard: the file goes elsewhere now")

// Read implements io.Reader for the transport.
func (p *passing) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return 0, errEnded
	}
	n, err := p.read(b)
	if p.spool != nil && n > 0 {
		if _, werr := p.spool.Write(b[:n]); werr != nil && p.lost == nil {
			p.lost = werr
		}
	}
	return n, err
}

func (p *passing) read(b []byte) (int, error) {
	if p.failed != nil {
		return 0, p.failed
	}
	n, err := p.r.Read(b)
	p.n += int64(n)
	switch {
	case p.n > maxUpload:
		p.failed = &badUpload{code: api.CodeFileTooLarge, detail: fmt.Sprintf("the file has more than %d bytes", maxUpload),
			facts: api.InvalidDetails{Field: "size", Problem: "too large", Limit: maxUpload, Actual: p.n}}
		return 0, p.failed
	case err != nil && err != io.EOF:
		p.failed = &badUpload{code: api.CodeInvalidArgument, detail: fmt.Sprintf("the upload broke off after %d bytes: send it again", p.n), err: err,
			facts: api.InvalidDetails{Field: "body", Problem: "broken off", Actual: p.n}}
		return n, p.failed
	}
	return n, err
}

// keep begins a spool.
func (p *passing) keep() error {
	f, err := os.CreateTemp("", "gantry-upload-*")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spool, p.lost = f, err
	if err != nil {
		p.spool = nil
	}
	return err
}

// forget removes the spool.
func (p *passing) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.spool != nil {
		_, _ = p.spool.Close(), os.Remove(p.spool.Name())
		p.spool = nil
	}
}

// cause is what went wrong with the file itself.
func (p *passing) cause() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// whole is the file from its first byte. It waits for a Read that is under
// way; the transport gets no other.
func (p *passing) whole() (io.Reader, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	rest := reader(func(b []byte) (int, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.read(b)
	})
	switch {
	case p.n == 0:
		return rest, nil
	case p.lost != nil:
		return nil, p.lost
	case p.spool == nil:
		return nil, errors.New("what Gantry had of it was not kept")
	}
	if _, err := p.spool.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.MultiReader(p.spool, rest), nil
}

type reader func([]byte) (int, error)

func (f reader) Read(b []byte) (int, error) { return f(b) }

// drain reads some of what is left of the body, for a short time: a caller
// that sends before it reads then gets the answer.
func (p *passing) drain() {
	end := time.Now().Add(drainTimeout)
	_ = p.body.c.SetReadDeadline(end) // also of a Read under way
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	_, _ = io.CopyN(io.Discard, reader(func(b []byte) (int, error) {
		_ = p.body.c.SetReadDeadline(end)
		return p.body.r.Read(b)
	}), drained)
	_ = p.body.c.SetReadDeadline(time.Time{})
}
