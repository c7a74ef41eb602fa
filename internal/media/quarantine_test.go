package media_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
)

func (r rig) presigned(t *testing.T, file []byte) media.Presigned {
	t.Helper()
	d := declared
	d.Size = max(1, int64(len(file)))
	p, err := r.Presign(t.Context(), "ann", d)
	if err != nil {
		t.Fatal(err)
	}
	if file != nil {
		r.lands(t, p.Quarantine, file)
	}
	return p
}

// oneRefusal demands exactly one entry in the verdict log, and an empty
// bucket.
func (r rig) oneRefusal(t *testing.T, code fault.Code) {
	t.Helper()
	got := r.refusals(t)
	if len(got) != 1 || got[0].Code != code || got[0].Flow != "verify" || got[0].OwnerHash != r.OwnerHash("ann") {
		t.Errorf("the verdict log holds %+v, want one %s", got, code)
	}
	if len(r.uploads(t)) != 0 || len(r.keys(t, "")) != 0 {
		t.Errorf("left are %v and %v", r.uploads(t), r.keys(t, ""))
	}
}

// TestVerifyFaults: a verification that failed is repeated, and ends as if it
// had not.
func TestVerifyFaults(t *testing.T) {
	t.Run("good", func(t *testing.T) {
		eachFault(t, "MediaUpload Open BeginObject Put FinishObject Delete", func(t *testing.T, r rig, arm func()) {
			p := r.presigned(t, picture)
			arm()
			if u, err := r.Verify(t.Context(), p.ID); err != nil && fault.CodeOf(err) != fault.ServiceDegraded {
				t.Fatal(u, err)
			}
			u, err := r.Verify(t.Context(), p.ID)
			if err != nil || u.State != media.Verified || u.Owner != "ann" || u.Name != "photo.jpg" || !u.CreatedAt.Equal(p.CreatedAt) {
				t.Fatal(u, err)
			}
			r.whole(t)
			r.later(25 * time.Hour)
			r.collect(t)
			r.whole(t)
			if got := r.keys(t, ""); len(got) != 1 || len(r.refusals(t)) != 0 {
				t.Errorf("the bucket holds %v, the verdict log %v", got, r.refusals(t))
			}
		})
	})
	t.Run("bad", func(t *testing.T) {
		eachFault(t, "MediaUpload DropUpload Delete", func(t *testing.T, r rig, arm func()) {
			p := r.presigned(t, program)
			arm()
			if _, err := r.Verify(t.Context(), p.ID); err == nil {
				t.Fatal("verified")
			}
			if _, err := r.Verify(t.Context(), p.ID); fault.CodeOf(err) != fault.MIMETypeNotAllowed && fault.CodeOf(err) != fault.NotFound {
				t.Fatal(err)
			}
			r.later(8 * 24 * time.Hour)
			r.collect(t)
			r.oneRefusal(t, fault.MIMETypeNotAllowed)
		})
	})
}

// TestDeletedWhileVerified: what the owner deleted does not come back.
func TestDeletedWhileVerified(t *testing.T) {
	r := newRig(t)
	p := r.presigned(t, picture)
	r.scan.during = func() {
		if err := r.Delete(t.Context(), p.ID); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.Verify(t.Context(), p.ID); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("verify: %v", err)
	}
	r.later(7 * time.Hour)
	r.collect(t)
	if len(r.uploads(t)) != 0 || len(r.keys(t, "")) != 0 {
		t.Errorf("left are %v and %v", r.uploads(t), r.keys(t, ""))
	}
}

// TestPinned: the bytes that were judged are those that become public, also
// when the object in quarantine is another by then.
func TestPinned(t *testing.T) {
	r := newRig(t)
	p := r.presigned(t, picture)
	r.scan.during = func() { r.lands(t, p.Quarantine, program) }
	if _, err := r.Verify(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	r.whole(t)
	r.scan.during = nil
	r.lands(t, p.Quarantine, program) // once more, after verification
	if _, err := r.Verify(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	r.collect(t)
	r.later(2 * time.Hour)
	r.collect(t)
	r.whole(t)
	if got := r.keys(t, "quarantine/"); len(got) != 0 {
		t.Errorf("a stray stays: %v", got)
	}
}

// TestNeverVerified: a presigned upload is judged after a day, also when
// nobody asks; one that never arrived is dropped.
func TestNeverVerified(t *testing.T) {
	for name, file := range map[string][]byte{"good": picture, "bad": program, "never arrived": nil} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p := r.presigned(t, file)
			r.later(23 * time.Hour)
			r.collect(t)
			if u, err := r.Upload(t.Context(), p.ID); err != nil || u.State != media.Quarantined {
				t.Fatalf("before its day was over: %v %v", u, err)
			}
			r.later(2 * time.Hour)
			r.collect(t)
			u, err := r.Upload(t.Context(), p.ID)
			switch name {
			case "good":
				if err != nil || u.State != media.Verified || len(r.keys(t, "quarantine/")) != 0 {
					t.Error(u, err, r.keys(t, "quarantine/"))
				}
				r.whole(t)
			case "bad":
				r.oneRefusal(t, fault.MIMETypeNotAllowed)
			default:
				if fault.CodeOf(err) != fault.NotFound || len(r.refusals(t)) != 0 {
					t.Error(u, err, r.refusals(t))
				}
			}
		})
	}
}

// TestNeverCollectedUnverified: what could not be judged waits for as long as
// it takes, and does not keep others waiting.
func TestNeverCollectedUnverified(t *testing.T) {
	r := newRig(t)
	r.scan.says = media.Unscanned // and the policy refuses such files
	p := r.presigned(t, picture)
	away := awayKey("bob", "1", "photo.jpg")
	r.lands(t, away, picture)
	for range 30 {
		r.later(24 * time.Hour)
		_ = r.Collect(t.Context())
		_ = r.VerifyAway(t.Context())
	}
	if got := r.keys(t, ""); len(got) != 2 {
		t.Fatalf("the bucket holds %v", got)
	}
	asked := r.scan.asked
	_, _ = r.Collect(t.Context()), r.VerifyAway(t.Context())
	if r.scan.asked != asked {
		t.Error("what could not be judged is judged at every turn")
	}
	r.scan.says = media.Clean
	r.later(time.Hour)
	if err := r.VerifyAway(t.Context()); err != nil {
		t.Error(err)
	}
	r.collect(t)
	if u, err := r.Upload(t.Context(), p.ID); err != nil || u.State != media.Verified {
		t.Error(u, err)
	}
	r.whole(t)
	if got := r.keys(t, "quarantine/"); len(got) != 0 || len(r.keys(t, "media/")) != 2 {
		t.Errorf("the bucket holds %v", r.keys(t, ""))
	}
}

// TestAway: what hosts put into quarantine becomes uploads of its owners, or
// goes with one entry in the verdict log.
func TestAway(t *testing.T) {
	r := newRig(t)
	good := awayKey("Ann Ü/..", "1", "../my photo.jpg")
	again := awayKey("Ann Ü/..", "2", "copy.jpg")
	bad := awayKey("ann", "3", "run.jpg")
	foreign := []string{media.QuarantineAway + "README", media.QuarantineAway + "a/b/c/d", media.QuarantineAway + "!!/1/x", awayKey("\n", "4", "x.jpg")}
	for key, data := range map[string][]byte{good: picture, again: picture, bad: program, foreign[0]: picture, foreign[1]: picture, foreign[2]: program, foreign[3]: program} {
		r.lands(t, key, data)
	}
	if err := r.VerifyAway(t.Context()); err != nil || len(r.keys(t, "")) != 7 {
		t.Errorf("what a host may still be writing was touched: %v, %v", r.keys(t, ""), err)
	}
	r.later(time.Minute)
	if err := r.VerifyAway(t.Context()); err != nil {
		t.Fatal(err)
	}
	us := r.uploads(t)
	if len(us) != 2 {
		t.Fatalf("uploads: %+v", us)
	}
	names := us[0].Name + us[1].Name
	for _, u := range us {
		if u.Owner != "Ann Ü/.." || u.State != media.Verified || !strings.HasPrefix(u.Object.Key, "media/h-") {
			t.Errorf("%+v", u)
		}
	}
	if !strings.Contains(names, "my photo.jpg") || !strings.Contains(names, "copy.jpg") || strings.Contains(names, "..") {
		t.Errorf("names: %s", names)
	}
	if got := r.refusals(t); len(got) != 1 || got[0].OwnerHash != r.OwnerHash("ann") || got[0].Code != fault.MIMETypeNotAllowed {
		t.Errorf("the verdict log holds %+v", got)
	}
	r.later(30 * 24 * time.Hour)
	r.collect(t)
	r.whole(t)
	if got := r.keys(t, "quarantine/"); len(got) != len(foreign) {
		t.Errorf("quarantine holds %v, want what is nobody's: %v", got, foreign)
	}
}

// TestAwayFaults: each step may fail, and the next turn goes on.
func TestAwayFaults(t *testing.T) {
	turns := func(t *testing.T, r rig) {
		t.Helper()
		r.later(time.Minute)
		_ = r.VerifyAway(t.Context())
		r.later(time.Hour)
		if err := r.VerifyAway(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("good", func(t *testing.T) {
		eachFault(t, "List Quarantine MediaUpload Open BeginObject Put FinishObject Delete", func(t *testing.T, r rig, arm func()) {
			r.lands(t, awayKey("ann", "1", "photo.jpg"), picture)
			arm()
			turns(t, r)
			us := r.uploads(t)
			if len(us) != 1 || us[0].State != media.Verified || us[0].Owner != "ann" || us[0].Name != "photo.jpg" {
				t.Fatalf("%+v", us)
			}
			r.later(7 * time.Hour)
			r.collect(t)
			r.whole(t)
			if got := r.keys(t, ""); len(got) != 1 || len(r.refusals(t)) != 0 {
				t.Errorf("the bucket holds %v, the verdict log %v", got, r.refusals(t))
			}
		})
	})
	t.Run("bad", func(t *testing.T) {
		eachFault(t, "List Quarantine MediaUpload Open DropUpload Delete", func(t *testing.T, r rig, arm func()) {
			r.lands(t, awayKey("ann", "1", "photo.jpg"), program)
			arm()
			turns(t, r)
			r.oneRefusal(t, fault.MIMETypeNotAllowed)
		})
	})
}

// TestAwayCrowd: objects that are nobody's do not keep others waiting.
func TestAwayCrowd(t *testing.T) {
	r := newRig(t)
	for i := range 150 {
		r.lands(t, media.QuarantineAway+"!"+strings.Repeat("x", i), nil)
	}
	r.lands(t, awayKey("zoe", "1", "photo.jpg"), picture)
	r.later(time.Minute)
	if err := r.VerifyAway(t.Context()); err != nil || len(r.keys(t, "media/")) != 1 {
		t.Error(r.keys(t, "media/"), err)
	}
}

// TestInterruptedVerify: a caller who gives up costs nobody a file.
func TestInterruptedVerify(t *testing.T) {
	r := newRig(t)
	p := r.presigned(t, picture)
	ctx, cancel := context.WithCancel(t.Context())
	r.scan.during = cancel
	_, _ = r.Verify(ctx, p.ID)
	r.scan.during = nil
	if u, err := r.Verify(t.Context(), p.ID); err != nil || u.State != media.Verified {
		t.Error(u, err)
	}
	r.whole(t)
}

// TestAwayKeyLong: a long name keeps its end, which tells the type.
func TestAwayKeyLong(t *testing.T) {
	r := newRig(t)
	r.lands(t, awayKey("ann", "1", strings.Repeat("ß", 200)+".jpg"), bytes.Clone(picture))
	r.later(time.Minute)
	if err := r.VerifyAway(t.Context()); err != nil {
		t.Fatal(err)
	}
	if us := r.uploads(t); len(us) != 1 || !strings.HasSuffix(us[0].Name, "ß.jpg") {
		t.Errorf("%+v", us)
	}
}

// awayKey is the key of an upload that a host puts into quarantine.
func awayKey(owner, id, name string) string {
	return api.MediaAwayKey(owner, strings.Repeat("0", 15)+id, name)
}

// TestAwayAll: however much came while Gantry was away, one turn judges it.
func TestAwayAll(t *testing.T) {
	r := newRig(t)
	for i := range 101 {
		r.lands(t, awayKey("ann", fmt.Sprintf("%04d", i), "photo.jpg"), picture)
	}
	r.later(time.Minute)
	if err := r.VerifyAway(t.Context()); err != nil || len(r.uploads(t)) != 101 || len(r.keys(t, "")) != 1 {
		t.Errorf("%d uploads, %d objects: %v", len(r.uploads(t)), len(r.keys(t, "")), err)
	}
}
