package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

func object(id, owner, sha string) media.Object {
	return media.Object{ID: id, Owner: owner, SHA256: sha, Key: "media/" + id, MIME: "image/jpeg", Size: 10, Stored: 9, CreatedAt: testTime}
}

func upload(id, owner string) media.Upload {
	return media.Upload{ID: id, Owner: owner, State: media.Verified, Name: id + ".jpg", Size: 10, CreatedAt: testTime, VerifiedAt: testTime, Scanned: media.Unscanned}
}

// TestMediaObjects: one object for each owner and content; it goes with its
// last reference, and what is deleted is not found again.
func TestMediaObjects(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o, live, err := db.BeginObject(t.Context(), object("o1", "a", "s"))
		if err != nil || live || o.Key != "media/o1" {
			t.Fatalf("%+v %v %v", o, live, err)
		}
		// Another upload of the same content at the same time writes the same object.
		if o, live, err = db.BeginObject(t.Context(), object("o2", "a", "s")); err != nil || live || o.ID != "o1" {
			t.Fatalf("%+v %v %v", o, live, err)
		}
		for _, id := range []string{"u1", "u1", "u2"} { // a repeat counts once
			if u, err := db.FinishObject(t.Context(), "o1", upload(id, "a")); err != nil || u.Object.Key != "media/o1" {
				t.Fatal(u, err)
			}
		}
		if o, live, err := db.BeginObject(t.Context(), object("o3", "a", "s")); err != nil || !live || o.ID != "o1" {
			t.Errorf("a third: %+v %v %v", o, live, err)
		}
		if _, err := db.FinishObject(t.Context(), "o1", upload("u3", "a")); err != nil {
			t.Error(err)
		}
		if o, live, err := db.BeginObject(t.Context(), object("o4", "b", "s")); err != nil || live || o.ID != "o4" {
			t.Errorf("another owner: %+v %v %v", o, live, err)
		}
		for i, id := range []string{"u1", "u2", "u3"} {
			orphan, err := db.DropUpload(t.Context(), id, "", nil)
			if want := i == 2; err != nil || (orphan.ID == "o1") != want {
				t.Errorf("drop %s: %+v %v", id, orphan, err)
			}
		}
		if _, err := db.DropUpload(t.Context(), "u1", "", nil); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("drop twice: %v", err)
		}
		// The content may come again while the old object goes: a new one.
		if o, live, err := db.BeginObject(t.Context(), object("o5", "a", "s")); err != nil || live || o.ID != "o5" {
			t.Errorf("again: %+v %v %v", o, live, err)
		}
		if _, err := db.FinishObject(t.Context(), "o1", upload("u6", "a")); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("finish what goes: %v", err)
		}
		if err := db.ForgetObject(t.Context(), "o5"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.FinishObject(t.Context(), "o5", upload("u5", "a")); err != nil {
			t.Errorf("forgetting took what is being written: %v", err)
		}
		// Whoever still writes o1 may put its bytes back: its row stays.
		if left, err := db.Abandoned(t.Context(), time.Now().Add(time.Minute), 10); err != nil || !slices.ContainsFunc(left, func(o media.Object) bool { return o.ID == "o1" }) {
			t.Errorf("%+v %v", left, err)
		}
	})
}

// TestMediaAbandoned: what was begun long ago is claimed for deletion, and
// cannot be finished any more; what is written on is not.
func TestMediaAbandoned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for i := range 2 {
			if _, _, err := db.BeginObject(t.Context(), object(fmt.Sprint("o", i), "a", fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		late := object("x", "a", "1")
		late.CreatedAt = testTime.Add(time.Hour)
		if _, _, err := db.BeginObject(t.Context(), late); err != nil { // touches o1
			t.Fatal(err)
		}
		left, err := db.Abandoned(t.Context(), testTime.Add(time.Minute), 10)
		if err != nil || len(left) != 1 || left[0].ID != "o0" {
			t.Fatalf("%+v %v", left, err)
		}
		if _, err := db.FinishObject(t.Context(), "o0", upload("u0", "a")); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("finish what was claimed: %v", err)
		}
		if _, err := db.FinishObject(t.Context(), "o1", upload("u1", "a")); err != nil {
			t.Error(err)
		}
		if err := db.ForgetObject(t.Context(), "o0"); err != nil {
			t.Fatal(err)
		}
		if left, err := db.Abandoned(t.Context(), testTime.Add(10*time.Hour), 10); err != nil || len(left) != 0 {
			t.Errorf("%+v %v", left, err)
		}
	})
}

// TestMediaQuarantine: one row for each key; a refusal removes it with one
// entry in the log.
func TestMediaQuarantine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		q := upload("q1", "a")
		q.State, q.Quarantine, q.VerifiedAt = media.Quarantined, "quarantine/away/k", time.Time{}
		for _, id := range []string{"q1", "q2"} {
			q.ID = id
			if got, err := db.Quarantine(t.Context(), q); err != nil || got.ID != "q1" {
				t.Fatalf("%+v %v", got, err)
			}
		}
		if us, err := db.Waiting(t.Context(), testTime.Add(time.Second), 10); err != nil || len(us) != 1 || us[0].Quarantine != q.Quarantine {
			t.Errorf("waiting: %+v %v", us, err)
		}
		if _, err := db.DropUpload(t.Context(), "q1", media.Verified, nil); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("dropped in another state: %v", err)
		}
		r := media.Refusal{ID: "r1", At: testTime, OwnerHash: "h", Flow: "verify", Code: fault.FileCorrupt, Reason: "cut", Limit: 3, Actual: 4}
		for i := range 2 {
			if _, err := db.DropUpload(t.Context(), "q1", media.Quarantined, &r); (err == nil) != (i == 0) {
				t.Errorf("drop %d: %v", i, err)
			}
		}
		rs, err := db.Refusals(t.Context(), media.RefusalFilter{OwnerHash: "h", Code: fault.FileCorrupt})
		if err != nil || len(rs) != 1 || rs[0] != r {
			t.Errorf("%+v %v", rs, err)
		}
		if rs, err := db.Refusals(t.Context(), media.RefusalFilter{OwnerHash: "other"}); err != nil || len(rs) != 0 {
			t.Errorf("another's: %+v %v", rs, err)
		}
	})
}

// TestMediaRace: many uploads and deletions of one content at once leave as
// many references as uploads, and no object without any.
func TestMediaRace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				id := fmt.Sprint("u", i)
				for {
					o, _, err := db.BeginObject(t.Context(), object("o"+id+rnd(), "a", "s"))
					if err == nil {
						_, err = db.FinishObject(t.Context(), o.ID, upload(id, "a"))
					}
					if err == nil {
						break
					}
					if fault.CodeOf(err) != fault.Conflict {
						t.Error(err)
						return
					}
				}
				if i%2 == 0 {
					if _, err := db.DropUpload(t.Context(), id, "", nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		objects := map[string]bool{}
		for i := range 16 {
			u, err := db.MediaUpload(t.Context(), fmt.Sprint("u", i))
			if (err == nil) != (i%2 == 1) || err == nil && u.Object.ID == "" {
				t.Errorf("u%d: %+v %v", i, u, err)
			}
			if err == nil {
				objects[u.Object.ID] = true
			}
		}
		if len(objects) != 1 {
			t.Errorf("objects %v", objects)
		}
	})
}

var serial struct {
	sync.Mutex
	n int
}

func rnd() string {
	serial.Lock()
	defer serial.Unlock()
	serial.n++
	return fmt.Sprint("-", serial.n)
}
