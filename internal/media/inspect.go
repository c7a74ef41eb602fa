package media

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media/walk"
)

// Declared is what an uploader says of a file.
type Declared struct {
	Name string
	MIME string // "" or application/octet-stream if it does not say
	Size int64  // -1 if it does not say
	// Ref is the id that the upload has before it is judged, "" if none. A
	// refusal that is repeated after a crash is noted once for each.
	Ref string
}

// Verdict is what the bytes say. Sizes are in bytes.
type Verdict struct {
	Name     string // safe, with the extension of the content
	Type     Type   // of the content
	MIME     string // that was detected; also of what is not allowed
	Declared string // the declared type, canonical; "" for none
	Size     int64  // of the original
	Stored   int64  // of what remains after sanitising
	SHA256   string // of the original, in hex
	Info     walk.Info
}

// SniffLen is how many first bytes a guess at the type wants.
const SniffLen = walk.SniffLen

// Inspector judges files. It is safe for concurrent use.
type Inspector struct {
	Walk   walk.Limits
	Policy func() Policy // asked per file

	buffers sync.Pool // of *buffers: made anew for each file, they cost more than walking a small one
}

// buffers are what judging one file needs, whatever its size: 200 KiB.
type buffers struct {
	first *bufio.Reader
	in    *walk.Input
	seen  *walk.Signatures
}

func (i *Inspector) lend() *buffers {
	if b, ok := i.buffers.Get().(*buffers); ok {
		b.seen.Reset()
		return b
	}
	return &buffers{first: bufio.NewReaderSize(nil, SniffLen), in: walk.NewInput(nil, nil, walk.Options{}), seen: walk.NewSignatures()}
}

// takeBack keeps the buffers for another file, and nothing of this one.
func (i *Inspector) takeBack(b *buffers) {
	b.first.Reset(nil)
	b.in.Reset(nil, nil, walk.Options{})
	i.buffers.Put(b)
}

const opInspect = "media.Inspect"

// Inspect reads a file to its end and judges it while the bytes stream by;
// what remains of it goes to out. The verdict is ready when r ends: memory
// does not grow with the file. It fails with the code of the first rule that
// refuses, or with the error of reading or writing; the verdict then holds
// what was known by then.
//
// What Info.Patches names must still be written over what out received.
func (i *Inspector) Inspect(ctx context.Context, d Declared, r io.Reader, out io.Writer) (Verdict, error) {
	p := i.Policy()
	src := &source{ctx: ctx, r: r, hash: sha256.New(), policy: p}
	src.class, src.limit = p.Largest()
	b := i.lend()
	defer i.takeBack(b)
	br := b.first
	br.Reset(src)
	head, err := br.Peek(SniffLen)
	if err != nil && err != io.EOF {
		return Verdict{}, src.cause(err)
	}
	v, err := p.kind(d, head)
	if err != nil {
		return v, err
	}
	src.class, src.limit = p.bound(v.Type)
	seen := b.seen
	kept := &counted{w: io.MultiWriter(out, seen)}
	b.in.Reset(br, kept, walk.Options{Limits: i.Walk, Sanitise: p.Sanitise})
	v.Info, err = walk.For(v.Type.Format)(b.in)
	v.Size, v.Stored = src.n, kept.n
	if err == nil {
		_, err = io.Copy(io.Discard, br) // a walker reads everything; this is the proof
	}
	if err != nil {
		return v, src.cause(rejected(err))
	}
	name, at, ok := seen.Found()
	if !ok && p.Sanitise && v.Type.Class == Image { // without its metadata, no honest picture has a page in it
		name, at, ok = seen.Markup()
	}
	if ok {
		return v, rejected(&walk.Reject{Code: walk.Mismatch, Reason: "it holds what looks like " + name, Offset: at})
	}
	v.SHA256 = hex.EncodeToString(src.hash.Sum(nil))
	return v, p.settle(&v, d)
}

// kind judges name and type by the first bytes.
func (p Policy) kind(d Declared, head []byte) (Verdict, error) {
	v := Verdict{Declared: CanonicalMIME(d.MIME)}
	f, mime, ok := walk.Sniff(head)
	v.MIME = mime
	var err error
	if v.Name, err = CleanName(d.Name, f); err != nil {
		return v, err
	}
	v.Type, _ = TypeOf(f)
	class, limit := p.bound(v.Type)
	if !ok || limit == 0 {
		return v, p.notAccepted(mime)
	}
	if d.Size > limit {
		return v, p.tooLarge(class, d.Size)
	}
	return v, nil
}

// notAccepted is the refusal of content by its type.
func (p Policy) notAccepted(mime string) *fault.Error {
	e := fault.New(fault.MIMETypeNotAllowed, opInspect, "the content is %s, which is not accepted", shown(mime))
	e.Detail = fault.Field{Field: "file", Problem: "not allowed", Actual: shown(mime), Allowed: p.mimes()}
	return e
}

// settle judges what only the whole file tells: its exact type, and its size.
func (p Policy) settle(v *Verdict, d Declared) error {
	v.Type, _ = TypeOf(v.Info.Format)
	v.MIME = v.Type.MIME
	if _, known := TypeNamed(d.MIME); !known && !Undeclared(d.MIME) {
		e := fault.New(fault.MIMETypeNotAllowed, opInspect, "the file was declared as %s, which is not accepted", shown(d.MIME))
		e.Detail = fault.Field{Field: "mimeType", Problem: "not allowed", Actual: shown(d.MIME), Allowed: p.mimes()}
		return e
	}
	if !Agrees(d.MIME, v.Type.Format) {
		e := fault.New(fault.ContentMismatch, opInspect, "the file was declared as %s, and its content is %s", v.Declared, v.MIME)
		e.Detail = fault.Field{Field: "mimeType", Problem: "not the content", Limit: v.MIME, Actual: v.Declared}
		return e
	}
	if !p.accepts(v.Type) {
		return p.notAccepted(v.MIME)
	}
	if v.Size > p.MaxSize[v.Type.Class] {
		return p.tooLarge(v.Type.Class, v.Size)
	}
	if d.Size >= 0 && v.Size != d.Size {
		return fault.Invalid(opInspect, fault.Field{Field: "size", Problem: "not as declared", Limit: d.Size, Actual: v.Size},
			"the upload has %d bytes and was declared with %d", v.Size, d.Size)
	}
	var err error
	v.Name, err = CleanName(v.Name, v.Type.Format)
	return err
}

// rejected gives a walker's verdict its code.
func rejected(err error) error {
	var r *walk.Reject
	if !errors.As(err, &r) {
		return err
	}
	f := fault.New(fault.Code(r.Code), opInspect, "%s (at byte %d)", r.Reason, r.Offset)
	d := fault.Field{Field: "file", Problem: r.Reason}
	if r.Limit != 0 {
		d.Limit, d.Actual = r.Limit, r.Actual
	}
	f.Detail = d
	return f
}

// source reads an upload: it counts, hashes, and stops at the class's limit.
type source struct {
	ctx    context.Context
	r      io.Reader
	hash   hash.Hash
	n      int64
	policy Policy
	limit  int64
	class  Class
	over   bool
	failed error
}

func (s *source) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		s.failed = err
		return 0, err
	}
	n, err := s.r.Read(b)
	s.n += int64(n)
	s.hash.Write(b[:n])
	if s.n > s.limit {
		s.over = true
		return n, errOver
	}
	if err != nil && err != io.EOF {
		s.failed = err
	}
	return n, err
}

var errOver = errors.New("media: over the limit")

// cause prefers what went wrong with reading over what the walker made of it.
func (s *source) cause(err error) error {
	switch {
	case s.over:
		return s.tooLarge()
	case errors.Is(s.failed, context.DeadlineExceeded):
		return s.failed
	case s.failed != nil:
		return &fault.Error{Code: fault.InvalidArgument, Op: opInspect, Err: s.failed, Msg: fmt.Sprintf("the upload broke off after %d bytes: send it again", s.n),
			Detail: fault.Field{Field: "body", Problem: "broken off", Actual: s.n}}
	}
	return err
}

// readOn is how much of a file that is over its limit is read for its size.
const readOn = 32 << 20

// tooLarge reads on for the actual size of a file of which nobody said it.
func (s *source) tooLarge() error {
	rest, err := io.Copy(io.Discard, io.LimitReader(s.r, readOn))
	e := s.policy.tooLarge(s.class, s.n+rest)
	if err != nil || rest == readOn {
		e.Msg = fmt.Sprintf("the file has more than %d bytes, the limit for %s files is %d (%s)", s.n+rest, s.class, s.limit, megabytes(s.limit))
	}
	return e
}

// counted counts what passes.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
