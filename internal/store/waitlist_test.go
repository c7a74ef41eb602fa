package store_test

import (
	"fmt"
	"testing"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/launch/launchtest"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

// waitlist is a waitlist and who is invited from it.
type waitlist struct {
	db *store.DB
	c  *launchtest.Clock
	n  int
}

func (l *waitlist) join(t *testing.T, email, country string) launch.Waiting {
	t.Helper()
	l.n++
	w, err := l.db.JoinWaitlist(t.Context(), launch.Waiting{ID: fmt.Sprint("wait_", l.n), Email: email, Country: country, JoinedAt: l.c.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// invite invites the next of a country, for an hour.
func (l *waitlist) invite(t *testing.T, country string, limit int) (invited []launch.Waiting) {
	t.Helper()
	invited, err := l.db.InviteWaiting(t.Context(), country, limit, l.c.Now(), func(w launch.Waiting) launch.Invite {
		l.n++
		id := fmt.Sprint("i", l.n)
		return launch.Invite{ID: id, Hash: "hash " + id, Batch: "inv_" + w.Email, MaxUses: 1, CreatedAt: l.c.Now(), ExpiresAt: l.c.Now().Add(time.Hour)}
	}, func(int) audit.Entry { return audit.Entry{Kind: audit.InvitesCreated, Object: "invites:test"} })
	if err != nil {
		t.Fatal(err)
	}
	return invited
}

// TestWaitlistPlaces: places count everybody who waits, of whatever country.
func TestWaitlistPlaces(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		l := &waitlist{db: db, c: c}
		for i, country := range []string{"US", "PL", "US", "PL"} {
			if w := l.join(t, fmt.Sprint("p", i), country); w.Position != int64(i+1) {
				t.Errorf("joined as %d: %+v", i+1, w)
			}
		}
		if got := l.invite(t, "PL", 1); len(got) != 1 || got[0].Email != "p1" || got[0].Position != 0 || got[0].InviteID == "" {
			t.Errorf("invited %+v", got)
		}
		for _, tt := range []struct {
			invited bool
			country string
			limit   int
			want    string
		}{
			{false, "", 9, "[p0:1 p2:2 p3:3]"}, {true, "", 9, "[p0:1 p1:0 p2:2 p3:3]"}, {false, "PL", 9, "[p3:3]"},
			{true, "PL", 1, "[p1:0]"}, {false, "", 2, "[p0:1 p2:2]"},
		} {
			ws, err := db.Waitlist(t.Context(), tt.invited, tt.country, tt.limit)
			var got []string
			for _, w := range ws {
				got = append(got, fmt.Sprintf("%s:%d", w.Email, w.Position))
			}
			if fmt.Sprint(got) != tt.want || err != nil {
				t.Errorf("%+v: %v, %v", tt, got, err)
			}
		}
		if w := l.join(t, "p3", "PL"); w.Position != 3 {
			t.Errorf("joined again: %+v", w)
		}
	})
}

// TestWaitlistRejoin: who did not use an invite in its time, or lost it, waits
// on at the old place on joining again; whose invite stands or was used does
// not.
func TestWaitlistRejoin(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		c := launchtest.NewClock(testTime)
		db := openLaunch(t, url, c)
		l := &waitlist{db: db, c: c}
		for _, email := range []string{"late", "used", "lost", "new"} {
			l.join(t, email, "PL")
		}
		invited := l.invite(t, "", 3)
		c.Add(time.Hour - time.Second)
		if w := l.join(t, "late", "PL"); w.Position != 0 || w.InviteID != invited[0].InviteID {
			t.Errorf("in time: %+v", w)
		}
		setUsed := func(id string, n int) {
			t.Helper()
			execRaw(t, url, fmt.Sprintf("UPDATE invites SET used = %d WHERE id = '%s'", n, id))
		}
		setUsed(invited[1].InviteID, 1)
		setUsed(invited[2].InviteID, 1) // held by a reservation that ends after the revocation
		if n, err := db.RevokeInvites(t.Context(), "inv_lost", c.Now(), audit.Entry{Kind: audit.InvitesRevoked, Object: "invites:test"}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if w := l.join(t, "lost", "PL"); w.Position != 0 {
			t.Errorf("revoked in use: %+v", w)
		}
		setUsed(invited[2].InviteID, 0)
		if w := l.join(t, "lost", "PL"); w.Position != 1 || w.InviteID != "" || w.ID != invited[2].ID {
			t.Errorf("revoked and unused: %+v", w)
		}
		c.Add(time.Second)
		if w := l.join(t, "late", "PL"); w.Position != 1 || w.InviteID != "" || w.ID != invited[0].ID {
			t.Errorf("expired: %+v", w)
		}
		if w := l.join(t, "used", "PL"); w.Position != 0 || w.InviteID != invited[1].InviteID {
			t.Errorf("used: %+v", w)
		}
		if w := l.join(t, "new", "PL"); w.Position != 3 {
			t.Errorf("who waited all the time: %+v", w)
		}
		if again := l.invite(t, "", 1); len(again) != 1 || again[0].Email != "late" {
			t.Errorf("invited again: %+v", again)
		}
	})
}

// TestWaitlistLong: the next of a country are found, invited and listed
// behind a long queue of others in time that grows with the list, not with
// its square. Before, each place was counted for itself, which took minutes.
func TestWaitlistLong(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		c := launchtest.NewClock(testTime)
		db := openLaunch(t, url, c)
		const before, next = 20_000, 1_000
		execRaw(t, url, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO waitlist (id, seq, email, country, refused, joined_at, invited_at, invite_id)
			SELECT 'wait_' || CAST(i AS text), i, CAST(i AS text) || '@example.com', CASE WHEN i <= %d THEN 'US' ELSE 'PL' END, '', 1, 0, '' FROM n`, before+next, before))
		l := &waitlist{db: db, c: c}
		began := time.Now()
		ws, err := db.Waitlist(t.Context(), false, "PL", next)
		if err != nil || len(ws) != next || ws[0].Position != before+1 || ws[next-1].Position != before+next {
			t.Fatalf("%d listed: %v", len(ws), err)
		}
		listed := time.Since(began)
		if got := l.invite(t, "PL", next); len(got) != next {
			t.Fatalf("%d invited", len(got))
		}
		t.Logf("listed in %s, invited in %s", listed, time.Since(began)-listed)
		if took := time.Since(began); took > 30*time.Second { // it takes a tenth of a second, and a few under the race detector
			t.Errorf("it took %s", took)
		}
	})
}

// execRaw changes rows behind the store's back.
func execRaw(t *testing.T, url, query string) {
	t.Helper()
	if _, err := rawDB(t, url).ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}
