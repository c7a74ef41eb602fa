package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/launch/launchtest"
	"avalo.app/gantry/internal/lease"
	"avalo.app/gantry/internal/signal"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

// one performs a step alone.
func one(t *testing.T, db *store.DB, op launch.Op) launch.Outcome {
	t.Helper()
	outs, err := db.ApplySignups(t.Context(), []launch.Op{op})
	if err != nil {
		t.Fatal(err)
	}
	return outs[0]
}

func openMode(t *testing.T, db *store.DB, c *launchtest.Clock, m launch.Mode, p launch.Phase) {
	t.Helper()
	mustMove(t, db, move(m, 0, c.Now()))
	mustSave(t, db, launch.DocPhase(m), p)
}

func TestReservationsComeBackWhole(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		openMode(t, db, c, launch.GlobalLaunch, limited(10))
		a := launch.Applicant{UserID: "u", EmailHash: "e", Country: "PL", Network: "n", Device: "d", TTL: time.Hour, Source: "api", Event: "ev"}
		r := one(t, db, launch.Op{Kind: launch.OpReserve, Applicant: a}).Reservation
		c.Add(time.Second)
		newer := one(t, db, reserve(1)).Reservation
		confirmed := one(t, db, launch.Op{Kind: launch.OpConfirm, ID: r.ID}).Reservation
		if confirmed.ConfirmedAt != c.Now() {
			t.Errorf("%+v", confirmed)
		}
		for _, tt := range []struct {
			f    launch.SignupFilter
			want []launch.Reservation
		}{
			{launch.SignupFilter{}, []launch.Reservation{newer, confirmed}}, {launch.SignupFilter{Limit: 1}, []launch.Reservation{newer}}, {launch.SignupFilter{UserID: "u"}, []launch.Reservation{confirmed}},
			{launch.SignupFilter{State: launch.Open, Day: r.Day}, []launch.Reservation{newer}}, {launch.SignupFilter{Day: "2020-01-01"}, []launch.Reservation{}},
		} {
			got, err := db.Signups(t.Context(), tt.f)
			if d := cmp.Diff(tt.want, got); err != nil || d != "" {
				t.Errorf("%+v: %v %s", tt.f, err, d)
			}
		}
		if o := one(t, db, launch.Op{Kind: launch.OpReserve, Applicant: launch.Applicant{UserID: "x", Country: "PL", Event: "ev"}}); fault.CodeOf(o.Err) != fault.Conflict || one(t, db, launch.Op{Kind: launch.OpReserve, Applicant: a}).Reservation.ID != r.ID {
			t.Errorf("the event of another: %+v", o)
		}
		if got := counts(t, db, r.Day)[launch.DayKey{Day: r.Day}]; got != (launch.Day{Open: 1, Confirmed: 1, Cap: 10}) {
			t.Errorf("%+v", got)
		}
	})
}

// TestExpiry: more reservations than one round holds end at their time to the
// microsecond, and their slots are free in the same call.
func TestExpiry(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		const n = 1100
		openMode(t, db, c, launch.GlobalLaunch, limited(n))
		var ops []launch.Op
		for i := range n {
			ops = append(ops, reserve(i))
		}
		day := apply(t, db, ops...)[0].Reservation.Day
		c.Add(time.Hour - time.Microsecond)
		if o := one(t, db, reserve(n)); fault.CodeOf(o.Err) != fault.DailyLimitReached {
			t.Errorf("before their time: %v", o.Err)
		}
		a := reserve(n).Applicant
		eligible := func() error {
			b, err := db.SignupBooks(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			return b.Eligible(a)
		}
		if err := eligible(); fault.CodeOf(err) != fault.DailyLimitReached {
			t.Errorf("eligible before their time: %v", err)
		}
		c.Add(time.Microsecond)
		if err := eligible(); err != nil {
			t.Errorf("eligible at their time: %v", err)
		}
		if o := one(t, db, reserve(n)); o.Err != nil {
			t.Errorf("at their time: %v", o.Err)
		}
		if got := counts(t, db, day)[launch.DayKey{Day: day}]; got.Open != 1 {
			t.Errorf("%+v", got)
		}
		h := acquire(t, db, "a")
		if n, err := db.ExpireSignups(t.Context(), h); n != 0 || err != nil {
			t.Errorf("expired %d, %v", n, err)
		}
		c.Add(time.Hour)
		h = acquire(t, db, "b")
		if n, err := db.ExpireSignups(t.Context(), h); n != 1 || err != nil {
			t.Errorf("expired %d, %v", n, err)
		}
		wantDrift(t, db)
		c.Add(time.Hour)
		acquire(t, db, "c")
		if _, err := db.ExpireSignups(t.Context(), h); err == nil {
			t.Error("expired under a lease that was lost")
		}
	})
}

// TestLateConfirmOfASecondSubject: the reservation that is named alone does
// not say who holds for its subject; confirming it must not make two.
func TestLateConfirmOfASecondSubject(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		openMode(t, db, c, launch.GlobalLaunch, limited(10))
		first := one(t, db, reserve(1)).Reservation
		c.Add(time.Hour)
		second := one(t, db, reserve(1)).Reservation
		other := reserve(2)
		outs, err := db.ApplySignups(t.Context(), []launch.Op{{Kind: launch.OpConfirm, ID: first.ID}, other})
		if err != nil || fault.CodeOf(outs[0].Err) != fault.Conflict || outs[1].Err != nil || first.ID == second.ID {
			t.Errorf("%+v %v", outs, err)
		}
		if o := one(t, db, launch.Op{Kind: launch.OpConfirm, ID: second.ID}); o.Err != nil {
			t.Error(o.Err)
		}
		wantDrift(t, db)
	})
}

// TestSubjectsSwapUserIDs: two open reservations end one call with each
// other's user id, which no order of single rows can write.
func TestSubjectsSwapUserIDs(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		openMode(t, db, c, launch.GlobalLaunch, limited(10))
		apply(t, db, reserve(1), reserve(2))
		with := func(user, email string) launch.Op {
			return launch.Op{Kind: launch.OpReserve, Applicant: launch.Applicant{UserID: user, EmailHash: email, Country: "PL"}}
		}
		apply(t, db, with("x", "e1"), with("u1", "e2"), with("u2", "e1"))
		for email, user := range map[string]string{"e1": "u2", "e2": "u1"} {
			if o := one(t, db, with("", email)); o.Reservation.UserID != user || !o.Existing {
				t.Errorf("%s: %+v", email, o.Reservation)
			}
		}
	})
}

// TestDrift: a counter that was changed behind the store's back is found.
func TestDrift(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		openMode(t, db, c, launch.ClosedBeta, limited(10))
		createInvite(t, db, launch.Invite{ID: "i", Hash: "code", MaxUses: 5})
		var ops []launch.Op
		for i := range 3 {
			op := reserve(i)
			op.Applicant.InviteHash = "code"
			ops = append(ops, op)
		}
		outs := apply(t, db, ops...)
		apply(t, db, launch.Op{Kind: launch.OpConfirm, ID: outs[0].Reservation.ID}, launch.Op{Kind: launch.OpRelease, ID: outs[1].Reservation.ID})
		wantDrift(t, db)
		const day = "2026-03-01"
		for _, tt := range []struct {
			tamper, undo string
			want         []launch.Drift
		}{
			{`UPDATE signup_days SET open = open + 1 WHERE country = 'PL'`, `UPDATE signup_days SET open = open - 1 WHERE country = 'PL'`,
				[]launch.Drift{{Day: day, Country: "PL", State: launch.Open, Counted: 2, Rows: 1}}},
			{`UPDATE signup_days SET confirmed = 0 WHERE country = ''`, `UPDATE signup_days SET confirmed = 1 WHERE country = ''`,
				[]launch.Drift{{Day: day, State: launch.Confirmed, Rows: 1}}},
			{`UPDATE signup_days SET country = 'DE' WHERE country = 'PL'`, `UPDATE signup_days SET country = 'PL' WHERE country = 'DE'`,
				[]launch.Drift{{Day: day, Country: "DE", State: launch.Open, Counted: 1}, {Day: day, Country: "PL", State: launch.Open, Rows: 1},
					{Day: day, Country: "DE", State: launch.Confirmed, Counted: 1}, {Day: day, Country: "PL", State: launch.Confirmed, Rows: 1}}},
			{`UPDATE invites SET used = 7`, `UPDATE invites SET used = 2`, []launch.Drift{{Invite: "i", Counted: 7, Rows: 2}}},
			{`DELETE FROM signup_reservations WHERE state = 'open'`, ``,
				[]launch.Drift{{Day: day, State: launch.Open, Counted: 1}, {Day: day, Country: "PL", State: launch.Open, Counted: 1}, {Invite: "i", Counted: 2, Rows: 1}}},
		} {
			if err := db.ExecRaw(t.Context(), tt.tamper); err != nil {
				t.Fatal(err)
			}
			wantDrift(t, db, tt.want...)
			if tt.undo == "" {
				continue
			}
			if err := db.ExecRaw(t.Context(), tt.undo); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func createInvite(t *testing.T, db *store.DB, i launch.Invite) {
	t.Helper()
	if err := db.CreateInvites(t.Context(), []launch.Invite{i}, audit.Entry{Kind: audit.InvitesCreated, Object: "invites:b"}); err != nil {
		t.Fatal(err)
	}
}

// TestPruneSignups forgets what ended long ago and holds nothing.
func TestPruneSignups(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		openMode(t, db, c, launch.GlobalLaunch, limited(100))
		op := reserve(0)
		op.Applicant.Event = "ev"
		ids := map[string]string{}
		ids["released"] = one(t, db, op).Reservation.ID
		apply(t, db, launch.Op{Kind: launch.OpRelease, ID: ids["released"]})
		ids["confirmed"] = one(t, db, reserve(1)).Reservation.ID
		apply(t, db, launch.Op{Kind: launch.OpConfirm, ID: ids["confirmed"]})
		ids["unbacked"] = one(t, db, launch.Op{Kind: launch.OpConfirm, Applicant: reserve(2).Applicant}).Reservation.ID
		for i := range 3 {
			one(t, db, reserve(10+i))
		}
		c.Add(time.Hour)
		ids["open"] = one(t, db, reserve(3)).Reservation.ID // the three expire
		late := c.Now()
		prune := func(before time.Time, limit int) int64 {
			t.Helper()
			n, err := db.PruneSignups(t.Context(), before, limit, acquireNamed(t, db, c))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := prune(testTime, 10); n != 0 {
			t.Errorf("%d went that had not ended", n)
		}
		if n := prune(late, 10); n != 1 { // the released one and its event
			t.Errorf("%d went", n)
		}
		if n := prune(late.Add(1000), 2); n != 2 {
			t.Errorf("%d went of two", n)
		}
		if n := prune(late.Add(time.Hour), 10); n != 1 {
			t.Errorf("%d went of the rest", n)
		}
		rs, err := db.Signups(t.Context(), launch.SignupFilter{})
		var left []string
		for _, r := range rs {
			left = append(left, string(r.State))
		}
		slices.Sort(left)
		if err != nil || !slices.Equal(left, []string{"confirmed", "open", "unbacked"}) {
			t.Errorf("left %v %v", left, err)
		}
		if o := one(t, db, launch.Op{Kind: launch.OpConfirm, ID: ids["released"]}); fault.CodeOf(o.Err) != fault.NotFound {
			t.Errorf("what is forgotten: %v", o.Err)
		}
		if o := one(t, db, op); o.Err != nil {
			t.Errorf("a forgotten event: %v", o.Err)
		}
		wantDrift(t, db)
	})
}

// acquireNamed takes the lease at a later moment than any before.
func acquireNamed(t *testing.T, db *store.DB, c *launchtest.Clock) lease.Held {
	t.Helper()
	c.Add(2 * time.Minute)
	return acquire(t, db, "prune")
}

// served is the service over a real store, on the machine's clock.
func served(t *testing.T, db *store.DB) *launch.Signups {
	t.Helper()
	control := launch.NewControl(launch.ControlOptions{Store: db, Days: db.SignupDays, Gate: launch.NoReport{}, Signals: func(signal.Fact) {}, Now: time.Now})
	if err := control.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return launch.NewSignups(launch.SignupOptions{Store: db, Control: control, Hasher: launch.NewHasher([]byte("k")), Limits: noLimits{}, Signals: func(signal.Fact) {}, Now: time.Now, Timeout: 20 * time.Second})
}

type noLimits struct{}

func (noLimits) Take(context.Context, string, launch.Application) error { return nil }
func (noLimits) Give(context.Context, string, launch.Application)       {}

// twoNodes runs fn with a service on each of two handles of one database.
func twoNodes(t *testing.T, mode launch.Mode, p launch.Phase, fn func(t *testing.T, db *store.DB, nodes [2]*launch.Signups)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) {
		secret, _ := newKey(t)
		var dbs [2]*store.DB
		for i := range dbs {
			db, err := store.Open(t.Context(), store.Options{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			if err := db.UseAuditKey(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
			dbs[i] = db
		}
		mustMove(t, dbs[0], move(mode, 0, time.Now()))
		mustSave(t, dbs[0], launch.DocPhase(mode), p)
		fn(t, dbs[0], [2]*launch.Signups{served(t, dbs[0]), served(t, dbs[1])})
	})
}

// TestStampede: on two nodes, with callers that vanish, exactly the cap is
// taken; what was given back can be taken again; counters equal rows.
func TestStampede(t *testing.T) {
	const limit, callers, each = 100, 64, 6
	twoNodes(t, launch.GlobalLaunch, limited(limit), func(t *testing.T, db *store.DB, nodes [2]*launch.Signups) {
		var wg sync.WaitGroup
		var confirmed, refused atomic.Int64
		for w := range callers {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(w)))
				for i := range each {
					ctx, cancel := context.WithCancel(t.Context())
					if rng.IntN(4) == 0 { // the caller goes at some moment
						ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(30_000))*time.Microsecond)
					}
					r, _, err := nodes[rng.IntN(2)].Reserve(ctx, launch.Application{UserID: fmt.Sprintf("u%d-%d", w, i), Country: "PL"})
					cancel()
					switch {
					case fault.CodeOf(err) == fault.DailyLimitReached && err != nil:
						refused.Add(1)
					case err != nil:
						if fault.CodeOf(err) != fault.ServiceDegraded || ctx.Err() == nil {
							t.Errorf("%v", err)
						}
					case rng.IntN(3) == 0:
						if _, err := nodes[rng.IntN(2)].Release(t.Context(), r.ID); err != nil {
							t.Error(err)
						}
					default:
						if _, err := nodes[rng.IntN(2)].Confirm(t.Context(), r.ID); err != nil {
							t.Error(err)
						}
						confirmed.Add(1)
					}
				}
			})
		}
		wg.Wait()
		nodes[0].Wait()
		nodes[1].Wait()
		wantDrift(t, db)
		day, days, err := nodes[0].Days(t.Context(), "")
		n := days[launch.DayKey{Day: day}]
		if err != nil || n.Confirmed != confirmed.Load() || n.Open != 0 || n.Confirmed > limit || refused.Load() == 0 {
			t.Errorf("%+v %v, %d confirmed, %d refused", n, err, confirmed.Load(), refused.Load())
		}
		// Every slot that is left can be used, and no more.
		var got atomic.Int64
		for i := range 2 * limit {
			wg.Go(func() {
				if _, _, err := nodes[i%2].Reserve(t.Context(), launch.Application{Email: fmt.Sprintf("e%d@x.y", i), Country: "PL"}); err == nil {
					got.Add(1)
				}
			})
		}
		wg.Wait()
		if want := limit - n.Confirmed; got.Load() != want {
			t.Errorf("%d of %d slots were left to take", got.Load(), want)
		}
		wantDrift(t, db)
	})
}

// TestFiftyUses: 500 at once redeem an invite of 50 uses on two nodes; 50
// get in, and retries of the same subjects burn nothing.
func TestFiftyUses(t *testing.T) {
	twoNodes(t, launch.ClosedBeta, limited(1000), func(t *testing.T, db *store.DB, nodes [2]*launch.Signups) {
		guests := launch.NewGuests(launch.GuestOptions{Store: db, Signups: nodes[0], Hasher: launch.NewHasher([]byte("k")), Limits: noLimits{}, Now: time.Now})
		made, err := guests.Invite(t.Context(), launch.InviteSpec{Count: 1, MaxUses: 50}, launch.Actor{ID: "key:a"})
		if err != nil {
			t.Fatal(err)
		}
		var in sync.Map
		var wg sync.WaitGroup
		var depleted atomic.Int64
		for i := range 500 {
			a := launch.Application{UserID: fmt.Sprintf("u%d", i), Country: "PL", InviteCode: made[0].Code}
			wg.Go(func() {
				for try := range 2 {
					r, _, err := nodes[(i+try)%2].Reserve(t.Context(), a)
					if err != nil {
						if fault.CodeOf(err) != fault.InviteCodeDepleted {
							t.Error(err)
						}
						depleted.Add(1)
						continue
					}
					if old, twice := in.LoadOrStore(a.UserID, r.ID); twice && old != r.ID {
						t.Errorf("%s got two: %s and %s", a.UserID, old, r.ID)
					}
				}
			})
		}
		wg.Wait()
		n := 0
		in.Range(func(any, any) bool { n++; return true })
		is, err := db.Invites(t.Context(), made[0].Batch, 10)
		if err != nil || n != 50 || depleted.Load() != 2*450 || len(is) != 1 || is[0].Used != 50 {
			t.Errorf("%d got in, %d refusals, %+v %v", n, depleted.Load(), is, err)
		}
		wantDrift(t, db)
	})
}

// TestKeysThatMoveInOneCall: a user id goes from a reservation that ends to
// one that was touched before, in one call; the rows must not meet.
func TestKeysThatMoveInOneCall(t *testing.T) {
	for _, last := range []launch.OpKind{launch.OpReserve, launch.OpConfirm} {
		withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
			openMode(t, db, c, launch.GlobalLaunch, limited(10))
			a := launch.Applicant{EmailHash: "e2", Country: "PL"}
			outs := apply(t, db, reserve(1), launch.Op{Kind: launch.OpReserve, Applicant: a})
			both := a
			both.UserID = "u1"
			outs = apply(t, db, launch.Op{Kind: launch.OpReserve, Applicant: a}, launch.Op{Kind: launch.OpRelease, ID: outs[0].Reservation.ID}, launch.Op{Kind: last, Applicant: both})
			if r := outs[2].Reservation; r.UserID != "u1" || r.EmailHash != "e2" || r.ID != outs[0].Reservation.ID {
				t.Errorf("%+v", r)
			}
			wantDrift(t, db)
		})
	}
}

// TestShares: 5 % of a cap is open to one network and to one device. What is
// confirmed, has ended or counts on another day is none of it.
func TestShares(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		openMode(t, db, c, launch.GlobalLaunch, limited(40)) // 2 at once
		from := func(n int, network, device string) launch.Op {
			op := reserve(n)
			op.Applicant.Network, op.Applicant.Device, op.Applicant.TTL = network, device, 48*time.Hour
			return op
		}
		want := func(op launch.Op, scope string) launch.Outcome {
			t.Helper()
			b, err := db.SignupBooks(t.Context(), op.Applicant)
			if err != nil {
				t.Fatal(err)
			}
			verdict, o := b.Eligible(op.Applicant), one(t, db, op)
			for _, err := range []error{verdict, o.Err} {
				got := ""
				if f, ok := err.(*fault.Error); ok {
					got = f.Detail.(launch.Held).Scope
				}
				if got != scope {
					t.Errorf("%+v: %v, want %q", op.Applicant, err, scope)
				}
			}
			return o
		}
		first := want(from(1, "n", "d"), "").Reservation
		second := want(from(2, "n", "d2"), "").Reservation
		want(from(3, "n", "d3"), "network")
		want(from(3, "n2", "d"), "")
		want(from(4, "n2", "d"), "device")
		want(from(1, "n", "d"), "") // its own again
		apply(t, db, launch.Op{Kind: launch.OpConfirm, ID: first.ID})
		want(from(5, "n", ""), "")
		want(from(6, "n", ""), "network")
		// One call frees and takes.
		apply(t, db, launch.Op{Kind: launch.OpRelease, ID: second.ID}, from(6, "n", ""))
		want(from(7, "n", ""), "network")
		c.Add(24 * time.Hour)
		want(from(7, "n", ""), "")
		want(from(8, "n", ""), "")
		want(from(9, "n", ""), "network")
	})
}
