package incident

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Bounds of paging without the store.
const (
	StoreGrace  = 30 * time.Second // how long the store may not answer
	directEvery = time.Second      // between looks
	directAgain = 5 * time.Minute  // a page that lasts is repeated: another node may have resolved its own
)

// Outage decides when a node pages for the store by itself. The zero value
// knows of no outage.
type Outage struct {
	since time.Time // the store does not answer since, as far as this node saw
	paged time.Time // the last page, zero if none is open
}

// Paged returns the outage of a node that had paged, and stopped before it
// could resolve.
func Paged(at time.Time) Outage { return Outage{paged: at} }

// Step takes a look at the store: it returns Trigger, Resolve or "".
func (o *Outage) Step(now time.Time, up bool) Action {
	if up {
		open := !o.paged.IsZero()
		*o = Outage{}
		if open {
			return Resolve
		}
		return ""
	}
	if o.since.IsZero() {
		o.since = now
	}
	if now.Sub(o.since) < StoreGrace || !o.paged.IsZero() && now.Sub(o.paged) < directAgain {
		return ""
	}
	o.paged = now
	return Trigger
}

// Direct pages for the store when it cannot be reached, on every node, from
// memory alone. All nodes use one dedup key, so that receivers join their
// pages, and join them with the incident StoreDown.
type Direct struct {
	Routing   func() Routing
	Receivers map[string]Receiver
	// Up asks the store; it must answer within ctx.
	Up func(ctx context.Context) error
	// Mark remembers outside the store that a page is open, so that a node that
	// dies meanwhile resolves it after its restart; nil remembers nothing.
	Mark func(open bool) error
	// Open is what Mark remembered.
	Open    bool
	Timeout time.Duration    // of one attempt; 0: DefaultTimeout
	Now     func() time.Time // nil means time.Now
	Report  func(error)      // told of attempts that failed; must not block

	mu    sync.Mutex
	round *round // the last word
}

// round counts the receivers that have not accepted the last word.
type round struct{ left int }

// told is a word for one receiver.
type told struct {
	m Message
	r *round
}

// Run looks at the store every second, and pages and resolves, until ctx
// ends.
func (d *Direct) Run(ctx context.Context) error {
	var o Outage
	if d.Open {
		o = Paged(d.now())
	}
	lines := map[string]*line{}
	var sending sync.WaitGroup
	defer sending.Wait()
	for {
		once, cancel := context.WithTimeout(ctx, directEvery*5)
		err := d.Up(once)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		began := o.since // forgotten by the step that resolves
		if a := o.Step(d.now(), err == nil); a != "" {
			d.tell(ctx, a, began, lines, &sending)
		}
		if !sleep(ctx, directEvery) {
			return ctx.Err()
		}
	}
}

// line carries the last word for one receiver to its goroutine.
type line struct{ next chan told }

// tell gives every receiver of StoreDown the message; one that has not
// accepted the last is told the new one instead.
func (d *Direct) tell(ctx context.Context, a Action, began time.Time, lines map[string]*line, sending *sync.WaitGroup) {
	m, names := d.message(a, began)
	r := d.begin(a, len(names))
	for _, name := range names {
		l := lines[name]
		if l == nil {
			l = &line{next: make(chan told, 1)}
			lines[name] = l
			sending.Go(func() { d.serve(ctx, name, l) })
		}
		select {
		case <-l.next: // what it replaces
		default:
		}
		l.next <- told{m, r} // this goroutine alone fills the one place that is free now
	}
}

// begin starts a round. What it remembers is forgotten when every receiver
// accepted the resolve.
func (d *Direct) begin(a Action, n int) *round {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.round = &round{left: n}
	if d.Mark != nil && (a == Trigger || n == 0) {
		d.report(d.Mark(a == Trigger))
	}
	return d.round
}

func (d *Direct) accepted(t told) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t.r.left--
	if d.Mark != nil && t.m.Action == Resolve && t.r == d.round && t.r.left == 0 {
		d.report(d.Mark(false))
	}
}

// serve delivers the last message of a line until it is accepted.
func (d *Direct) serve(ctx context.Context, name string, l *line) {
	for {
		var t told
		select {
		case <-ctx.Done():
			return
		case t = <-l.next:
		}
		for attempt := 1; ; attempt++ {
			err := d.attempt(ctx, name, t.m)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				d.accepted(t)
				break
			}
			e := asDeliveryError(err)
			d.report(e)
			wait := time.NewTimer(directWait(attempt, e))
			select {
			case <-ctx.Done():
			case t = <-l.next:
				attempt = 0
			case <-wait.C:
			}
			wait.Stop()
		}
	}
}

// directWait is shorter than the outbox's: nobody else tells of this.
func directWait(attempt int, e *DeliveryError) time.Duration {
	if e.Permanent {
		return time.Minute // of the same message, but the receiver may be mended
	}
	return max(min(backoff(attempt, 0), directAgain/10), e.RetryAfter)
}

func (d *Direct) attempt(ctx context.Context, name string, m Message) error {
	timeout := d.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	once, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := d.Receivers[name].Deliver(once, m)
	return err
}

// message returns what to say of an outage that began then (zero: unknown,
// before this node's start), and to whom: the contacts of level 0 that the
// incident StoreDown would reach.
func (d *Direct) message(a Action, began time.Time) (Message, []string) {
	r := d.Routing()
	now := d.now()
	if began.IsZero() {
		began = now
	}
	i := &Incident{Cause: Cause{Group: StoreDown, Object: "store"}, Rules: []string{StoreDown}, Class: r.Table.Rule(StoreDown).Class, State: Open, OpenedAt: began}
	if a == Resolve {
		i.State = Resolved
	}
	i.Summary = r.Table.Rule(StoreDown).summary("store", "")
	var names []string
	for _, k := range r.contacts(i) {
		if _, ok := d.Receivers[k.Name]; ok && k.Level == 0 {
			names = append(names, k.Name)
		}
	}
	slices.Sort(names)
	m := r.message(i, a, now)
	m.Delivery, m.Link = m.DedupKey+"-"+string(a)+"-"+now.UTC().Format("20060102T150405"), ""
	return m, names
}

func (d *Direct) now() time.Time {
	if d.Now == nil {
		return time.Now()
	}
	return d.Now()
}

func (d *Direct) report(err error) {
	if err != nil && d.Report != nil {
		d.Report(err)
	}
}
