package media

import (
	"context"
	"errors"
	"io"
	"maps"
	"path"
	"sync"
	"time"

	"avalo.app/gantry/internal/fault"
)

// The ages at which the collector looks at what was left.
const (
	awayAge      = 30 * time.Second   // a host may still be writing a younger one
	abandonedAge = 24 * time.Hour     // of a presigned upload that nobody verified
	pendingAge   = 6 * time.Hour      // of an object whose upload never finished
	retryAge     = 10 * time.Minute   // between looks at what could not be judged
	strayEvery   = 10 * time.Minute   // between looks for strays
	strayAge     = time.Hour          // of what was PUT again after its verification
	unknownAge   = 7 * 24 * time.Hour // of what no upload knows: a store may have been restored from yesterday
	sweepBatch   = 100
)

// later holds what could not be judged, so that it neither takes up every
// turn nor keeps the rest from theirs. The zero value is ready to use.
type later struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// due reports whether the turn of a key has come, and forgets past turns.
func (l *later) due(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.until[key]
	if ok && !now.Before(until) {
		delete(l.until, key)
	}
	return !ok || !now.Before(until)
}

// put defers a key.
func (l *later) put(key string, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.until = make(map[string]time.Time)
	}
	l.until[key] = until
}

// len is how many wait for their turn. It forgets past turns, also of what is
// not there any more.
func (l *later) len(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.until, func(_ string, until time.Time) bool { return !now.Before(until) })
	return len(l.until)
}

// VerifyAway judges what hosts put into quarantine while Gantry was away. It
// deletes nothing that was not judged.
func (s *Service) VerifyAway(ctx context.Context) error {
	var errs []error
	for judged := map[string]bool{}; ; {
		batch, err := s.awayBatch(ctx, judged)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, b := range batch {
			judged[b.Key] = true
			if err := s.verifyAway(ctx, b); err != nil {
				s.later.put(b.Key, s.o.Now().Add(retryAge))
				errs = append(errs, err)
			}
		}
		if len(batch) < sweepBatch || ctx.Err() != nil {
			return errors.Join(errs...)
		}
	}
}

// awayBatch finds some of what waits for its turn.
func (s *Service) awayBatch(ctx context.Context, judged map[string]bool) (batch []Blob, err error) {
	now := s.o.Now()
	err = s.o.Bucket.List(ctx, QuarantineAway, func(b Blob) error {
		_, _, _, ours := parseAway(b.Key) // somebody else's object is left alone
		if ours && !judged[b.Key] && now.Sub(b.At) > awayAge && s.later.due(b.Key, now) {
			batch = append(batch, b)
		}
		if len(batch) == sweepBatch {
			return io.EOF
		}
		return nil
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return batch, err
}

func (s *Service) verifyAway(ctx context.Context, b Blob) error {
	owner, id, name, _ := parseAway(b.Key)
	if other, err := s.o.Store.MediaUpload(ctx, id); err == nil && other.Quarantine != b.Key {
		id = NewID() // a host that gives an id twice
	} else if err != nil && fault.CodeOf(err) != fault.NotFound {
		return err
	}
	now := s.o.Now().UTC().Truncate(time.Microsecond)
	u, err := s.o.Store.Quarantine(ctx, Upload{ID: id, Owner: owner, State: Quarantined, Name: name, Size: b.Size, Quarantine: b.Key, CreatedAt: now, Scanned: Unscanned})
	if err != nil {
		return err
	}
	if u.State == Verified { // all but the last step was done
		return s.o.Bucket.Delete(ctx, b.Key)
	}
	_, err = s.Verify(ctx, u.ID)
	if Refuses(fault.CodeOf(err)) || fault.CodeOf(err) == fault.InvalidArgument {
		return nil // judged
	}
	return err
}

// Collect removes what was left behind: objects that nothing refers to, and
// presigned uploads that never arrived. One that did arrive is judged first.
func (s *Service) Collect(ctx context.Context) error {
	now := s.o.Now()
	objects, err := s.o.Store.Abandoned(ctx, now.Add(-pendingAge), sweepBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range objects {
		errs = append(errs, s.forget(ctx, o))
	}
	waiting, err := s.o.Store.Waiting(ctx, now.Add(-abandonedAge), sweepBatch+s.later.len(now))
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, u := range waiting {
		if !s.later.due(u.ID, now) {
			continue
		}
		if err := s.settleWaiting(ctx, u); err != nil {
			s.later.put(u.ID, now.Add(retryAge))
			errs = append(errs, err)
		}
	}
	if s.later.due(quarantinePresigned, now) {
		s.later.put(quarantinePresigned, now.Add(strayEvery))
		errs = append(errs, s.collectStrays(ctx))
	}
	return errors.Join(errs...)
}

// forget removes an object whose last writer has surely ended. Its bytes may
// have been deleted before; one that wrote the same content meanwhile may
// have put them back.
func (s *Service) forget(ctx context.Context, o Object) error {
	if err := s.o.Bucket.Delete(ctx, o.Key); err != nil {
		return away(err)
	}
	return s.o.Store.ForgetObject(ctx, o.ID)
}

// settleWaiting judges an upload that nobody asked to verify.
func (s *Service) settleWaiting(ctx context.Context, u Upload) error {
	_, err := s.Verify(ctx, u.ID)
	switch code := fault.CodeOf(err); {
	case err == nil, Refuses(code), code == fault.InvalidArgument, code == fault.NotFound:
		return nil
	case errors.Is(err, errNotArrived):
		_, err := s.o.Store.DropUpload(ctx, u.ID, Quarantined, nil)
		if code := fault.CodeOf(err); err != nil && code != fault.NotFound && code != fault.Conflict { // deleted or verified meanwhile
			return err
		}
		return nil
	}
	return err
}

// collectStrays removes from quarantine what was PUT to a presigned URL after
// its upload was verified, and what a refused upload left because the bucket
// did not answer then. What waits for its verification stays.
func (s *Service) collectStrays(ctx context.Context) error {
	var old []Blob
	err := s.o.Bucket.List(ctx, quarantinePresigned, func(b Blob) error {
		if s.o.Now().Sub(b.At) > strayAge {
			old = append(old, b)
		}
		if len(old) == 10*sweepBatch {
			return io.EOF
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var errs []error
	for _, b := range old {
		u, err := s.o.Store.MediaUpload(ctx, path.Base(b.Key))
		unknown := err != nil && fault.CodeOf(err) == fault.NotFound
		switch {
		case err == nil && u.State == Verified, unknown && s.o.Now().Sub(b.At) > unknownAge:
			errs = append(errs, s.o.Bucket.Delete(ctx, b.Key))
		case err != nil && !unknown:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
