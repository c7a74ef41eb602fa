package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/launch/launchtest"
	"avalo.app/gantry/internal/store"
)

func TestInvites(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		openMode(t, db, c, launch.ClosedBeta, limited(10))
		i := launch.Invite{ID: "a1", Hash: "h1", Batch: "b1", MaxUses: 3, Country: "PL", EmailHash: "e1", Note: "n", CreatedBy: "key:a", CreatedAt: testTime, ExpiresAt: testTime.Add(time.Hour)}
		two := launch.Invite{ID: "a2", Hash: "h2", Batch: "b1", MaxUses: 1, CreatedAt: testTime}
		three := launch.Invite{ID: "a3", Hash: "h3", Batch: "b2", MaxUses: 1, CreatedAt: testTime.Add(1000)}
		e := audit.Entry{Kind: audit.InvitesCreated, Object: "invites:b"}
		if err := db.CreateInvites(t.Context(), []launch.Invite{i, two, three}, e); err != nil {
			t.Fatal(err)
		}
		want := func(what, batch string, limit int, want ...launch.Invite) {
			t.Helper()
			got, err := db.Invites(t.Context(), batch, limit)
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Errorf("%s: %v %s", what, err, d)
			}
		}
		want("all", "", 10, three, i, two)
		want("two", "", 2, three, i)
		want("a batch", "b1", 10, i, two)
		op := reserve(1)
		op.Applicant.InviteHash = "h1"
		r := one(t, db, op).Reservation
		i.Used = 1
		want("used", "b1", 1, i)
		revoke := func(id string, want int64) {
			t.Helper()
			n, err := db.RevokeInvites(t.Context(), id, testTime.Add(time.Minute), audit.Entry{Kind: audit.InvitesRevoked, Object: "invites:x"})
			if err != nil || n != want {
				t.Errorf("revoke %s: %d %v", id, n, err)
			}
		}
		revoke("a3", 1)
		revoke("b1", 2)
		revoke("b1", 0)
		revoke("none", 0)
		i.RevokedAt, two.RevokedAt = testTime.Add(time.Minute), testTime.Add(time.Minute)
		want("revoked", "b1", 10, i, two)
		if o := one(t, db, launch.Op{Kind: launch.OpConfirm, ID: r.ID}); o.Err != nil {
			t.Errorf("an open reservation of a revoked invite: %v", o.Err)
		}
		if o := one(t, db, reserve(2)); fault.CodeOf(o.Err) != fault.InviteCodeRequired {
			t.Error(o.Err)
		}
		wantLog(t, db, map[audit.Kind]int{audit.LaunchModeChanged: 1, audit.LaunchPhaseSet: 1, audit.InvitesCreated: 1, audit.InvitesRevoked: 2})
	})
}

func TestClaims(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		openMode(t, db, c, launch.ClosedBeta, limited(10))
		for n := range 2 {
			createInvite(t, db, launch.Invite{ID: fmt.Sprintf("a%d", n), Hash: fmt.Sprintf("h%d", n), MaxUses: 1})
		}
		refused := errors.New("refused")
		for _, tt := range []struct {
			code, want string
			err        error
		}{{"none", "", refused}, {"h0", "a0", nil}, {"h1", "a1", refused}, {"h1", "a1", nil}} { // the last one counts
			err := db.ClaimInvite(t.Context(), tt.code, "e1", c.Now(), func(i *launch.Invite) error {
				if i == nil && tt.want != "" || i != nil && i.ID != tt.want {
					t.Errorf("%s: %+v", tt.code, i)
				}
				return tt.err
			})
			if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Errorf("%s: %v", tt.code, err)
			}
			if tt.err != nil && tt.code == "none" {
				if o := one(t, db, reserve(1)); fault.CodeOf(o.Err) != fault.InviteCodeRequired {
					t.Errorf("a refused claim holds: %v", o.Err)
				}
			}
		}
		if o := one(t, db, reserve(1)); o.Err != nil || o.Reservation.InviteID != "a1" {
			t.Errorf("%+v", o)
		}
		wantDrift(t, db)
		if n := logSize(t, db); n != 4 { // move, phase, two invites; claims are no change of policy
			t.Errorf("%d leaves", n)
		}
	})
}

func TestAllowlist(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		ls := []launch.Listed{
			{ID: "alw_1", Kind: launch.ListUser, Value: "u1", Note: "n", AddedBy: "key:a", AddedAt: testTime},
			{ID: "alw_2", Kind: launch.ListEmail, Value: "ada@x.y", AddedAt: testTime},
			{ID: "alw_3", Kind: launch.ListDomain, Value: "u1", AddedAt: testTime}, // the same text of another kind
		}
		allow := func(ls []launch.Listed, want int64) {
			t.Helper()
			if n, err := db.Allow(t.Context(), ls, audit.Entry{Kind: audit.AllowlistAdded, Object: "allowlist:b"}); err != nil || n != want {
				t.Errorf("added %d, %v", n, err)
			}
		}
		allow(ls, 3)
		again := ls[0]
		again.ID, again.Note = "alw_9", "another"
		allow([]launch.Listed{again}, 0)
		for _, tt := range []struct {
			after string
			limit int
			want  []launch.Listed
		}{{"", 2, ls[:2]}, {"alw_2", 2, ls[2:]}, {"alw_3", 2, nil}} {
			got, err := db.Allowlist(t.Context(), tt.after, tt.limit)
			if d := cmp.Diff(tt.want, got); err != nil || d != "" {
				t.Errorf("after %q: %v %s", tt.after, err, d)
			}
		}
		op := reserve(1)
		for _, tt := range []struct {
			keys []string
			ok   bool
		}{{[]string{"user:u1"}, true}, {[]string{"user:ada@x.y", "email:u1", "domain:x.y"}, false}, {[]string{"user:no", "email:ada@x.y"}, true}, {[]string{"domain:u1"}, true}} {
			op.Applicant.AllowKeys = tt.keys
			b, err := db.SignupBooks(t.Context(), op.Applicant)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Eligible(op.Applicant); (err == nil) != tt.ok {
				t.Errorf("%v: %v", tt.keys, err)
			}
		}
		drop := audit.Entry{Kind: audit.AllowlistRemoved, Object: "allowlist:x"}
		if err := db.Disallow(t.Context(), "alw_9", drop); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("none: %v", err)
		}
		if err := db.Disallow(t.Context(), "alw_1", drop); err != nil {
			t.Error(err)
		}
		op.Applicant.AllowKeys = []string{"user:u1"}
		if o := one(t, db, op); fault.CodeOf(o.Err) != fault.LaunchModeRestricted {
			t.Errorf("removed: %v", o.Err)
		}
		wantLog(t, db, map[audit.Kind]int{audit.AllowlistAdded: 1, audit.AllowlistRemoved: 1})
	})
}

func TestWaitlist(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		join := func(id, email, country string) launch.Waiting {
			t.Helper()
			w, err := db.JoinWaitlist(t.Context(), launch.Waiting{ID: id, Email: email, Country: country, Refused: "COUNTRY_NOT_ALLOWED", JoinedAt: testTime})
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		var ws []launch.Waiting
		for i, country := range []string{"US", "CA", "US", "MX"} {
			w := join(fmt.Sprintf("w%d", i), fmt.Sprintf("%d@x.y", i), country)
			if w.Position != int64(i+1) || !w.JoinedAt.Equal(testTime) {
				t.Errorf("%+v", w)
			}
			ws = append(ws, w)
		}
		if w := join("other", "1@x.y", "PL"); cmp.Diff(ws[1], w) != "" {
			t.Errorf("joined again: %+v", w)
		}
		positions := func(what string, invited bool, country string, want string) {
			t.Helper()
			got, err := db.Waitlist(t.Context(), invited, country, 10)
			var s []string
			for _, w := range got {
				s = append(s, fmt.Sprintf("%s:%d", w.ID, w.Position))
			}
			if err != nil || strings.Join(s, " ") != want {
				t.Errorf("%s: %v, want %s %v", what, s, want, err)
			}
		}
		positions("all", true, "", "w0:1 w1:2 w2:3 w3:4")
		positions("US", false, "US", "w0:1 w2:3")
		invite := func(country string, limit, want int) []launch.Waiting {
			t.Helper()
			noted := 0
			got, err := db.InviteWaiting(t.Context(), country, limit, testTime.Add(time.Hour), func(w launch.Waiting) launch.Invite {
				return launch.Invite{ID: "i-" + w.ID, Hash: "h-" + w.ID, Batch: "b" + country, MaxUses: 1, CreatedAt: testTime}
			}, func(n int) audit.Entry {
				noted = n
				return audit.Entry{Kind: audit.InvitesCreated, Object: "invites:b"}
			})
			if err != nil || len(got) != want || noted != want {
				t.Errorf("invited %d, noted %d: %v", len(got), noted, err)
			}
			return got
		}
		got := invite("US", 9, 2)
		if got[0].ID != "w0" || got[1].ID != "w2" || got[0].InviteID != "i-w0" || got[0].Position != 0 || !got[1].InvitedAt.Equal(testTime.Add(time.Hour)) {
			t.Errorf("%+v", got)
		}
		invite("US", 9, 0)
		invite("", 1, 1) // w1
		positions("who waits", false, "", "w3:1")
		positions("all", true, "", "w0:0 w1:0 w2:0 w3:1")
		if w := join("x", "0@x.y", "US"); w.Position != 0 || w.InviteID != "i-w0" {
			t.Errorf("who was invited joins: %+v", w)
		}
		// w0 comes; the batch is revoked; w2 waits on at its old place.
		openMode(t, db, c, launch.ClosedBeta, limited(10))
		op := reserve(1)
		op.Applicant.InviteHash = "h-w0"
		one(t, db, op)
		if n, err := db.RevokeInvites(t.Context(), "bUS", c.Now(), audit.Entry{Kind: audit.InvitesRevoked, Object: "invites:b"}); err != nil || n != 2 {
			t.Errorf("revoked %d %v", n, err)
		}
		positions("after the revocation", true, "", "w0:0 w1:0 w2:1 w3:2")
		if err := db.LeaveWaitlist(t.Context(), "w2"); err != nil {
			t.Error(err)
		}
		if err := db.LeaveWaitlist(t.Context(), "w2"); fault.CodeOf(err) != fault.NotFound {
			t.Error(err)
		}
		positions("who is left", false, "", "w3:1")
		if w := join("w4", "4@x.y", "US"); w.Position != 2 {
			t.Errorf("%+v", w)
		}
		wantLog(t, db, map[audit.Kind]int{audit.InvitesCreated: 2, audit.InvitesRevoked: 1, audit.LaunchModeChanged: 1, audit.LaunchPhaseSet: 1})
	})
}

// TestWaitlistRace: many join and many are invited at once; places are
// distinct, and nobody is invited twice.
func TestWaitlistRace(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		invited := map[string]int{}
		for i := range 40 {
			wg.Go(func() {
				if _, err := db.JoinWaitlist(t.Context(), launch.Waiting{ID: fmt.Sprintf("w%d", i), Email: fmt.Sprintf("%d@x.y", i), Country: "US", JoinedAt: testTime}); err != nil {
					t.Error(err)
				}
			})
			if i%4 == 0 {
				wg.Go(func() {
					ws, err := db.InviteWaiting(t.Context(), "", 3, testTime, func(w launch.Waiting) launch.Invite {
						return launch.Invite{ID: fmt.Sprintf("i%d-%s", i, w.ID), Hash: fmt.Sprintf("h%d-%s", i, w.ID), MaxUses: 1}
					}, func(int) audit.Entry { return audit.Entry{Kind: audit.InvitesCreated, Object: "invites:b"} })
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					for _, w := range ws {
						invited[w.ID]++
					}
				})
			}
		}
		wg.Wait()
		for id, n := range invited {
			if n != 1 {
				t.Errorf("%s was invited %d times", id, n)
			}
		}
		left, err := db.Waitlist(t.Context(), false, "", 100)
		if err != nil || len(left)+len(invited) != 40 {
			t.Errorf("%d left, %d invited, %v", len(left), len(invited), err)
		}
		for i, w := range left {
			if w.Position != int64(i+1) {
				t.Errorf("place %d of %+v", i+1, w)
			}
		}
	})
}

// TestPublicLeaves: what the log publishes about a launch holds no e-mail
// address, code, network address, note, reason or name.
func TestPublicLeaves(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		control := launch.NewControl(launch.ControlOptions{Store: db, Days: db.SignupDays, Gate: launch.NoReport{}, Now: c.Now,
			Distinct: func(_ context.Context, a, b launch.Actor) (bool, error) { return a.Owner != b.Owner, nil }})
		h := launch.NewHasher([]byte("k"))
		signups := launch.NewSignups(launch.SignupOptions{Store: db, Control: control, Hasher: h, Limits: noLimits{}, Now: c.Now})
		guests := launch.NewGuests(launch.GuestOptions{Store: db, Signups: signups, Hasher: h, Limits: noLimits{}, Now: c.Now})
		if err := control.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		ana, ben := launch.Actor{ID: "key:ana", Owner: "Ana Secretname"}, launch.Actor{ID: "key:ben", Owner: "Ben Secretname"}
		const reason = "secretreason of an admin"
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		secrets := []string{"secret", "203.0.113", "@"}
		m := launch.Move{To: launch.SoftLaunch, IfVersion: 0, Reason: reason, By: ana}
		o, err := control.RequestOverride(t.Context(), m)
		must(err)
		_, err = control.ApproveOverride(t.Context(), o.ID, ana)
		if fault.CodeOf(err) != fault.PermissionDenied {
			t.Fatalf("one person: %v", err)
		}
		_, err = control.ApproveOverride(t.Context(), o.ID, ben)
		must(err)
		m.Override = o.ID
		_, err = control.SetMode(t.Context(), m)
		must(err)
		_, err = control.SetMode(t.Context(), launch.Move{To: launch.ClosedBeta, IfVersion: 1, Reason: reason, By: ana})
		must(err)
		_, _, err = control.SetPhase(t.Context(), launch.ClosedBeta, launch.Phase{Countries: []string{"PL"}}, -1, ana, reason)
		must(err)
		_, _, err = control.SetSettings(t.Context(), launch.DefaultSettings(), -1, ana, reason)
		must(err)
		_, err = control.SetMaintenance(t.Context(), c.Now().Add(time.Hour), ana, reason)
		must(err)
		_, err = control.SetMaintenance(t.Context(), time.Time{}, ana, reason)
		must(err)
		made, err := guests.Invite(t.Context(), launch.InviteSpec{Count: 2, Email: "secret@x.y", Note: "secretnote"}, ana)
		must(err)
		secrets = append(secrets, made[0].Code, made[1].Code, launchCode(made[0].Code))
		must(guests.Claim(t.Context(), launch.Application{Email: "secret@x.y", InviteCode: made[0].Code, IP: "203.0.113.9"}))
		_, _, err = signups.Reserve(t.Context(), launch.Application{Email: "secret@x.y", UserID: "secretuser", Country: "PL", InviteCode: made[0].Code, IP: "203.0.113.9"})
		must(err)
		_, err = guests.Revoke(t.Context(), made[0].Batch, ana, reason)
		must(err)
		_, err = guests.Allow(t.Context(), []launch.Listed{{Kind: launch.ListEmail, Value: "secret@x.y", Note: "secretnote"}, {Kind: launch.ListUser, Value: "secretuser"}}, ana)
		must(err)
		ls, err := guests.Allowlist(t.Context(), "", 1)
		must(err)
		must(guests.Disallow(t.Context(), ls[0].ID, ana, reason))
		_, err = guests.Join(t.Context(), launch.Application{Email: "secret2@x.y", Country: "US"})
		must(err)
		ws, err := guests.InviteWaiting(t.Context(), launch.InviteSpec{Count: 9}, ana)
		must(err)
		secrets = append(secrets, ws[0].Code)
		want := map[audit.Kind]int{audit.LaunchOverrideRequested: 1, audit.LaunchOverrideApproved: 1, audit.LaunchModeChanged: 2, audit.LaunchPhaseSet: 1, audit.LaunchSettingsSet: 1,
			audit.LaunchMaintenanceSet: 2, audit.InvitesCreated: 2, audit.InvitesRevoked: 1, audit.AllowlistAdded: 1, audit.AllowlistRemoved: 1}
		wantLog(t, db, want)
		for _, k := range audit.Kinds() {
			if strings.HasPrefix(string(k), "launch.") && want[k] == 0 {
				t.Errorf("%s is not among the changes that this test makes", k)
			}
		}
		for i := int64(1); i <= logSize(t, db); i++ {
			p, err := db.AuditEntry(t.Context(), i)
			must(err)
			for _, s := range secrets {
				if bytes.Contains(bytes.ToLower(p.Leaf), bytes.ToLower([]byte(s))) {
					t.Errorf("leaf %d (%s) holds %q: %s", i, p.Event.Kind, s, p.Leaf)
				}
			}
			// The private part, which admins read, has the reason, and no code or address.
			for _, s := range slices.Concat([]string{"x.y", "203.0.113"}, secrets[3:]) {
				if bytes.Contains(p.Private, []byte(s)) {
					t.Errorf("entry %d (%s) holds %q: %s", i, p.Event.Kind, s, p.Private)
				}
			}
		}
	})
}

// launchCode is a code as some type it.
func launchCode(s string) string { return strings.ReplaceAll(s, "-", "") }
