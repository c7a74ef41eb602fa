package media

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
)

// The prefixes of keys in quarantine. Nothing under them is public.
const (
	quarantinePresigned = "quarantine/presigned/"
	// QuarantineAway is where a host puts uploads while Gantry is away.
	QuarantineAway = api.MediaAwayPrefix
)

// parseAway is the inverse of api.MediaAwayKey.
func parseAway(key string) (owner, id, name string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(key, QuarantineAway), "/")
	if len(parts) != 3 || len(parts[1]) < 16 || len(parts[1]) > 64 || strings.Trim(parts[1], "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "", "", "", false
	}
	enc := base64.RawURLEncoding
	o, err1 := enc.DecodeString(parts[0])
	n, err2 := enc.DecodeString(parts[2])
	return string(o), parts[1], string(n), err1 == nil && err2 == nil && checkOwner(string(o)) == nil
}

// Presigned is a place in quarantine that accepts one PUT.
type Presigned struct {
	Upload
	URL     string
	Headers map[string]string // that the PUT must send
	Expires time.Time
}

// presignTTL is how long a presigned URL accepts the upload.
const presignTTL = 15 * time.Minute

// Presign prepares an upload that goes to the bucket directly. It lands in
// quarantine; Verify judges it.
func (s *Service) Presign(ctx context.Context, owner string, d Declared) (Presigned, error) {
	if err := checkOwner(owner); err != nil {
		return Presigned{}, err
	}
	m, err := s.Policy().Validate(d.Name, d.MIME, d.Size)
	if err != nil {
		return Presigned{}, s.note(ctx, owner, "presign", d, Verdict{}, err)
	}
	now := s.o.Now().UTC().Truncate(time.Microsecond)
	u := Upload{ID: NewID(), Owner: owner, State: Quarantined, Name: m.Filename, Declared: m.Type.MIME, Size: d.Size, CreatedAt: now, Scanned: Unscanned}
	u.Quarantine = quarantinePresigned + s.ownerPath(owner) + "/" + u.ID
	url, headers, err := s.o.Bucket.Presign(ctx, u.Quarantine, m.Type.MIME, d.Size, presignTTL)
	if err != nil {
		return Presigned{}, away(err)
	}
	u, err = s.o.Store.Quarantine(ctx, u)
	return Presigned{Upload: u, URL: url, Headers: headers, Expires: now.Add(presignTTL)}, err
}

// Verify judges an upload in quarantine. If its bytes pass, exactly the bytes
// that were read become public, whatever is written to quarantine meanwhile;
// if not, nothing of it stays, but for an entry in the verdict log. Verifying
// again returns the upload as it is.
func (s *Service) Verify(ctx context.Context, id string) (Upload, error) {
	u, err := s.verify(ctx, id)
	if err != nil && fault.CodeOf(err) == fault.Conflict { // another verification may have been quicker
		if now, rerr := s.o.Store.MediaUpload(ctx, id); rerr == nil && now.State == Verified {
			return now, nil
		}
	}
	return u, err
}

func (s *Service) verify(ctx context.Context, id string) (Upload, error) {
	u, err := s.o.Store.MediaUpload(ctx, id)
	if err == nil && u.State == Verified && u.Quarantine != "" {
		_ = s.o.Bucket.Delete(ctx, u.Quarantine) // a kill may have left it, or another PUT; what fails is swept
	}
	if err != nil || u.State == Verified {
		return u, err
	}
	body, _, err := s.o.Bucket.Open(ctx, u.Quarantine)
	if fault.CodeOf(err) == fault.NotFound && err != nil {
		return u, &fault.Error{Code: fault.Conflict, Op: "media.Verify", Err: errNotArrived, Msg: "nothing has arrived in quarantine for this upload yet: PUT it to the presigned URL first"}
	}
	if err != nil {
		return u, away(err)
	}
	defer body.Close()
	in := &fromBucket{r: body}
	d := Declared{Name: u.Name, MIME: u.Declared, Size: -1}
	if strings.HasPrefix(u.Quarantine, quarantinePresigned) {
		d.Size = u.Size
	}
	got, err := s.receive(ctx, d, in)
	if failed := cmp.Or(in.err, ctx.Err()); failed != nil { // it says nothing about the file
		got.Close()
		return u, away(failed)
	}
	if err != nil {
		return u, s.reject(ctx, u, d, got.Verdict, err)
	}
	defer got.Close()
	got.owner, got.flow, got.waited = u.Owner, "verify", u
	// The bytes that passed are those that were read: they lie in the spool.
	done, err := got.Keep(ctx, u.ID)
	if err != nil {
		return u, err
	}
	if err := s.o.Bucket.Delete(ctx, u.Quarantine); err != nil {
		return done, nil //nolint:nilerr // the upload is public; what is left in quarantine is swept
	}
	return done, nil
}

var errNotArrived = errors.New("media: nothing has arrived")

// fromBucket remembers that the bucket failed: an upload that could not be
// read is not one that broke off.
type fromBucket struct {
	r   io.Reader
	err error
}

func (f *fromBucket) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// reject removes a refused upload from quarantine. What is not about the
// file leaves it there.
func (s *Service) reject(ctx context.Context, u Upload, d Declared, v Verdict, err error) error {
	code := fault.CodeOf(err)
	if !Refuses(code) && code != fault.InvalidArgument { // not as long as declared
		return err
	}
	r := s.refusal(u.Owner, "verify", d, v, err)
	r.ID = s.hash("refusal", u.Quarantine)[:20] // one entry, also if the next step fails and the object is judged again
	switch _, derr := s.o.Store.DropUpload(ctx, u.ID, Quarantined, &r); {
	case derr == nil:
		s.o.Refused("verify", code)
	case fault.CodeOf(derr) != fault.NotFound: // the refusal is not noted, or the upload was verified meanwhile
		return derr
	}
	if derr := s.o.Bucket.Delete(ctx, u.Quarantine); derr != nil {
		return errors.Join(err, derr)
	}
	return err
}
