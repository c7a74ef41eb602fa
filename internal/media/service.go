package media

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"avalo.app/gantry/internal/fault"
)

// Options are what a Service stands on.
type Options struct {
	Inspector *Inspector
	Bucket    Bucket
	Store     interface {
		Store
		Log
	}
	Scanner Scanner // nil: none is configured
	// AcceptUnscanned says what becomes of a file that was not scanned; asked
	// per file.
	AcceptUnscanned func() bool
	Scans           func(Scan) // counts what the scanner said
	// Take charges one upload to the user, or refuses with RATE_LIMITED.
	Take func(ctx context.Context, user string) error
	// Key hides owners in the verdict log and makes keys unguessable. Every node
	// needs the same one.
	Key []byte
	// Spool is a local directory of this process for files that are being
	// judged. What a crash left there is removed by Sweep.
	Spool   string
	Refused func(flow string, code fault.Code) // counts
	Now     func() time.Time
}

// Service receives uploads. It is safe for concurrent use.
type Service struct {
	o     Options
	later later
}

// New returns a service.
func New(o Options) *Service { return &Service{o: o} }

// Policy is what an operator decides about uploads, as it is now.
func (s *Service) Policy() Policy { return s.o.Inspector.Policy() }

// Received is an upload whose bytes passed and wait in the spool. It is
// stored or discarded, and then closed.
type Received struct {
	Verdict
	Scanned Scan

	owner, flow string
	waited      Upload // as it waited in quarantine; zero if it came straight
	s           *Service
	file        *os.File
}

const opUpload = "media.Upload"

// Receive judges an upload of the owner. Whatever goes wrong, nothing of it
// stays; a refusal leaves one entry in the verdict log.
func (s *Service) Receive(ctx context.Context, owner, flow string, d Declared, r io.Reader) (*Received, error) {
	if err := checkOwner(owner); err != nil {
		return nil, err
	}
	got, err := s.receive(ctx, d, r)
	if err != nil {
		return nil, s.note(ctx, owner, flow, d, got.Verdict, err)
	}
	got.owner, got.flow = owner, flow
	return got, nil
}

// Validate judges a file by what is said of it, before its bytes.
func (s *Service) Validate(ctx context.Context, owner string, d Declared) (Metadata, error) {
	m, err := s.Policy().Validate(d.Name, d.MIME, d.Size)
	if err != nil {
		return m, s.note(ctx, owner, "validate", d, Verdict{}, err)
	}
	return m, nil
}

// Charge counts one upload of the user, or refuses with RATE_LIMITED.
func (s *Service) Charge(ctx context.Context, owner string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	return s.o.Take(ctx, owner)
}

// Inspect judges a file and keeps nothing of it. The caller closes what it
// returns.
func (s *Service) Inspect(ctx context.Context, owner string, d Declared, r io.Reader) (*Received, error) {
	got, err := s.receive(ctx, d, r)
	if err != nil {
		return nil, s.note(ctx, owner, "inspect", d, got.Verdict, err)
	}
	return got, nil
}

func (s *Service) receive(ctx context.Context, d Declared, r io.Reader) (*Received, error) {
	f, err := os.CreateTemp(s.o.Spool, "up-")
	if err != nil {
		return &Received{}, noRoom(err)
	}
	got, out := &Received{s: s, file: f, Scanned: Unscanned}, &spooled{f: f}
	got.Verdict, err = s.o.Inspector.Inspect(ctx, d, r, out)
	if out.err != nil { // whatever the walker made of it
		err = noRoom(out.err)
	}
	if err == nil {
		err = got.settle(ctx)
	}
	if err != nil {
		got.Close()
	}
	return got, err
}

func noRoom(err error) error {
	return &fault.Error{Code: fault.ServiceDegraded, Op: opUpload, Err: err, Msg: "there is no room for uploads now: try again in a moment"}
}

// spooled remembers that the disk failed: that says nothing about the file.
type spooled struct {
	f   *os.File
	err error
}

func (s *spooled) Write(b []byte) (int, error) {
	n, err := s.f.Write(b)
	if err != nil {
		s.err = err
	}
	return n, err
}

// settle applies the patches and asks the scanner.
func (r *Received) settle(ctx context.Context) error {
	for _, p := range r.Info.Patches {
		if err := p.Apply(r.file); err != nil {
			return fault.Wrap(fault.ServiceDegraded, opUpload, err)
		}
	}
	if r.s.o.Scanner == nil {
		return nil
	}
	var name string
	r.Scanned, name = r.s.o.Scanner.Scan(ctx, r.Content(), r.Stored)
	r.s.o.Scans(r.Scanned)
	switch {
	case r.Scanned == Infected:
		return &fault.Error{Code: fault.MalwareFound, Op: opUpload, Msg: "the scanner found malware: " + name, Detail: fault.Field{Field: "file", Problem: name}}
	case r.Scanned == Clean, r.s.o.AcceptUnscanned():
		return nil
	}
	return fault.New(fault.ServiceDegraded, opUpload, "the file could not be scanned for malware (%s), and the policy is to refuse such files", name)
}

// Close removes the spooled file. It may be called twice.
func (r *Received) Close() {
	if r.file != nil {
		_ = os.Remove(r.file.Name()) // what stays is swept
		_ = r.file.Close()
		r.file = nil
	}
}

// Content reads what will be stored.
func (r *Received) Content() io.ReadSeeker { return io.NewSectionReader(r.file, 0, r.Stored) }

// Keep stores the upload: one object for each owner and content. id is the
// upload's if it has one already, since it waited in quarantine or arrived in
// pieces, else "". Keeping it again under its id changes nothing.
func (r *Received) Keep(ctx context.Context, id string) (u Upload, err error) {
	for range 3 { // the last other upload of this content may be deleted meanwhile
		if u, err = r.keep(ctx, id); err == nil || fault.CodeOf(err) != fault.Conflict {
			break
		}
	}
	return u, err
}

func (r *Received) keep(ctx context.Context, id string) (Upload, error) {
	s := r.s
	now := s.o.Now().UTC().Truncate(time.Microsecond)
	u := Upload{ID: id, Owner: r.owner, State: Verified, Name: r.Name, Declared: r.Declared, Size: r.Size, CreatedAt: now, VerifiedAt: now, Scanned: r.Scanned}
	if u.ID == "" {
		u.ID = NewID()
	}
	if r.waited.ID != "" {
		u.CreatedAt, u.Quarantine = r.waited.CreatedAt, r.waited.Quarantine
	}
	o := Object{ID: NewID(), Owner: r.owner, SHA256: r.SHA256, MIME: r.Type.MIME, Size: r.Size, Stored: r.Stored, CreatedAt: now}
	o.Key = s.finalKey(o, r.Type)
	o, live, err := s.o.Store.BeginObject(ctx, o)
	if err != nil {
		return Upload{}, err
	}
	if !live {
		if err := s.o.Bucket.Put(ctx, o.Key, r.Type.MIME, r.Content()); err != nil {
			return Upload{}, away(err)
		}
	}
	return s.o.Store.FinishObject(ctx, o.ID, u)
}

// finalKey is media/OWNER/CONTENT.EXT: unguessable, since the content is
// named by a keyed hash, and of nothing that an uploader chose.
func (s *Service) finalKey(o Object, t Type) string {
	return "media/" + s.ownerPath(o.Owner) + "/" + s.hash("object", o.Owner+"\x00"+o.SHA256+"\x00"+o.ID) + "." + t.Extension
}

// ownerPath names an owner in a key: itself where that is plain, else a hash.
func (s *Service) ownerPath(owner string) string {
	if len(owner) <= 64 && strings.Trim(owner, "abcdefghijklmnopqrstuvwxyz0123456789-_") == "" {
		return "u-" + owner
	}
	return "h-" + s.hash("owner path", owner)
}

func (s *Service) hash(kind, value string) string {
	m := hmac.New(sha256.New, s.o.Key)
	m.Write([]byte(kind + "\x00" + value))
	return hex.EncodeToString(m.Sum(nil)[:20])
}

// Delete removes one upload. Its content goes with the last upload of it.
func (s *Service) Delete(ctx context.Context, id string) error {
	u, err := s.o.Store.MediaUpload(ctx, id)
	if err != nil {
		return err
	}
	if u.Quarantine != "" { // first: without its row it would be taken for new
		if err := s.o.Bucket.Delete(ctx, u.Quarantine); err != nil {
			return away(err)
		}
	}
	orphan, err := s.o.Store.DropUpload(ctx, id, "", nil)
	if err != nil || orphan.ID == "" {
		return err
	}
	return away(s.o.Bucket.Delete(ctx, orphan.Key)) // what fails is collected
}

// Upload returns one upload.
func (s *Service) Upload(ctx context.Context, id string) (Upload, error) {
	return s.o.Store.MediaUpload(ctx, id)
}

// Open reads the content of a verified upload.
func (s *Service) Open(ctx context.Context, id string) (Upload, io.ReadCloser, error) {
	u, err := s.o.Store.MediaUpload(ctx, id)
	if err != nil {
		return u, nil, err
	}
	if u.State != Verified {
		return u, nil, fault.New(fault.Conflict, opUpload, "the upload is in quarantine: verify it first")
	}
	r, _, err := s.o.Bucket.Open(ctx, u.Object.Key)
	return u, r, away(err)
}

// note writes the entry of a refusal and returns its error. What is not
// about the file (a broken connection, a store that is away) is no refusal.
func (s *Service) note(ctx context.Context, owner, flow string, d Declared, v Verdict, err error) error {
	code := fault.CodeOf(err)
	if !Refuses(code) {
		return err
	}
	s.o.Refused(flow, code)
	r := s.refusal(owner, flow, d, v, err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if lerr := s.o.Store.Refuse(ctx, r); lerr != nil {
		return errors.Join(err, lerr) // refused all the same; the entry is missing, and the log says so
	}
	return err
}

func (s *Service) refusal(owner, flow string, d Declared, v Verdict, err error) Refusal {
	r := Refusal{ID: NewID(), At: s.o.Now().UTC().Truncate(time.Microsecond), OwnerHash: s.OwnerHash(owner), Flow: flow, Code: fault.CodeOf(err),
		Declared: shown(CanonicalMIME(d.MIME)), Detected: v.MIME}
	if d.Ref != "" {
		r.ID = d.Ref
	}
	var f *fault.Error
	if errors.As(err, &f) {
		r.Reason = f.Msg
		if d, ok := f.Detail.(fault.Field); ok {
			r.Limit, _ = d.Limit.(int64)
			r.Actual, _ = d.Actual.(int64)
		}
	}
	return r
}

// OwnerHash is how the verdict log names an owner.
func (s *Service) OwnerHash(owner string) string { return s.hash("owner", owner)[:24] }

// Refuses reports whether a code is a refusal of a file.
func Refuses(c fault.Code) bool {
	switch c {
	case fault.FileTooLarge, fault.MIMETypeNotAllowed, fault.ContentMismatch, fault.FilenameNotAllowed, fault.FileCorrupt, fault.ImageTooLarge, fault.MalwareFound:
		return true
	}
	return false
}

// Refusals returns entries of the verdict log, newest first.
func (s *Service) Refusals(ctx context.Context, f RefusalFilter) ([]Refusal, error) {
	return s.o.Store.Refusals(ctx, f)
}

// away gives a failure of the bucket its code.
func away(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &fault.Error{Code: fault.ServiceDegraded, Op: opUpload, Err: err, Msg: "the bucket does not answer now: try again in a moment; nothing was stored"}
}

func checkOwner(owner string) error {
	if owner == "" || len(owner) > 128 || strings.ContainsFunc(owner, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fault.Invalid(opUpload, fault.Field{Field: "userId", Problem: "missing or not printable", Limit: 128, Actual: len(owner)}, "userId must name the owner in 1 to 128 bytes")
	}
	return nil
}

// Sweep removes spooled files that a crash left. It is called at start, when
// all of them are.
func (s *Service) Sweep() error {
	files, err := filepath.Glob(filepath.Join(s.o.Spool, "up-*"))
	errs := []error{err}
	for _, f := range files {
		errs = append(errs, os.Remove(f))
	}
	return errors.Join(errs...)
}

// NewID returns an id for an upload, that nobody guesses: 20 lower case
// letters and digits.
func NewID() string { return strings.ToLower(rand.Text()[:20]) }
