package media_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"avalo.app/gantry/internal/media"
)

// TestVerifiedMeanwhile: what one verification made public, another one of the
// same upload neither takes back nor denies, whatever lies in quarantine by
// then; nor does the collector.
func TestVerifiedMeanwhile(t *testing.T) {
	for name, left := range map[string][]byte{"nothing": nil, "the same": picture, "a program": program, "another picture": other} {
		for who, again := range map[string]func(rig, string) error{
			"verify": func(r rig, id string) error {
				u, err := r.Verify(t.Context(), id)
				if err == nil && u.State != media.Verified {
					t.Errorf("it is %s", u.State)
				}
				return err
			},
			"collector": func(r rig, _ string) error { return r.Collect(t.Context()) },
		} {
			t.Run(name+", "+who, func(t *testing.T) {
				r := newRig(t)
				p := r.presigned(t, picture)
				r.later(25 * time.Hour)
				r.meanwhile("Open", func() {
					if _, err := r.Verify(t.Context(), p.ID); err != nil {
						t.Error(err)
					}
					if left != nil {
						r.lands(t, p.Quarantine, left)
					}
				})
				if err := again(r, p.ID); err != nil {
					t.Error(err)
				}
				if us := r.uploads(t); len(us) != 1 || us[0].State != media.Verified || len(r.refusals(t)) != 0 {
					t.Errorf("uploads %+v, refusals %+v", us, r.refusals(t))
				}
				r.later(7 * time.Hour)
				r.collect(t)
				r.whole(t)
			})
		}
	}
}

// TestVerifyCancelled: a caller who leaves says nothing about the file.
func TestVerifyCancelled(t *testing.T) {
	r := newRig(t)
	p := r.presigned(t, picture)
	ctx, cancel := context.WithCancel(t.Context())
	r.meanwhile("Open", cancel)
	if _, err := r.Verify(ctx, p.ID); err == nil {
		t.Error("verified for nobody")
	}
	if us := r.uploads(t); len(us) != 1 || us[0].State != media.Quarantined || len(r.refusals(t)) != 0 {
		t.Errorf("uploads %+v, refusals %+v", us, r.refusals(t))
	}
	if _, err := r.Verify(t.Context(), p.ID); err != nil {
		t.Error(err)
	}
	r.whole(t)
}

// TestWrittenBack: bytes that are written after the last other upload of the
// same content was deleted do not stay without a row.
func TestWrittenBack(t *testing.T) {
	for _, op := range []string{"Put", "FinishObject"} {
		r := newRig(t)
		got, err := r.Receive(t.Context(), "ann", "upload", declared, bytes.NewReader(picture))
		if err != nil {
			t.Fatal(err)
		}
		defer got.Close()
		r.meanwhile(op, func() {
			u, err := r.upload(t)
			if err == nil {
				err = r.Delete(t.Context(), u.ID)
			}
			if err != nil {
				t.Error(err)
			}
		})
		if u, err := got.Keep(t.Context(), ""); err != nil || u.State != media.Verified {
			t.Fatal(u, err)
		}
		r.later(7 * time.Hour)
		r.collect(t)
		r.whole(t)
	}
}

// TestDeletedStaysDeleted: an upload that a host put into quarantine and that
// was deleted is not taken for a new one, also if the bucket was away then.
func TestDeletedStaysDeleted(t *testing.T) {
	for _, m := range []mode{fails, persisted} {
		r := newRig(t)
		key := awayKey("ann", "1", "photo.jpg")
		r.lands(t, key, picture)
		r.later(time.Minute)
		r.scan.says = media.Unscanned // it is refused, and waits
		if err := r.VerifyAway(t.Context()); err == nil {
			t.Error("unscanned, and nobody says so")
		}
		us := r.uploads(t)
		if len(us) != 1 || us[0].State != media.Quarantined {
			t.Fatalf("%+v", us)
		}
		r.set("Delete", m)
		if err := r.Delete(t.Context(), us[0].ID); err == nil {
			t.Error("the fault was not felt")
		}
		if err := r.Delete(t.Context(), us[0].ID); err != nil {
			t.Error(err)
		}
		r.scan.says = media.Clean
		r.later(time.Hour)
		if err := r.VerifyAway(t.Context()); err != nil || len(r.uploads(t)) != 0 || len(r.keys(t, "")) != 0 {
			t.Errorf("left are %v and %v: %v", r.uploads(t), r.keys(t, ""), err)
		}
	}
}
