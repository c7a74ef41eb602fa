package memory

import (
	"math/bits"

	"avalo.app/gantry/internal/ratelimit"
)

// plan is what a demand will do to its counter once all demands are decided.
type plan struct {
	at      int             // slot; -1: none yet
	first   int             // the call's first demand of the same counter
	spilled bool            // the key shares an overflow counter
	struck  bool            // strikes changed
	passed  bool            // the count passes the demand, a block or a companion may not
	state   ratelimit.State // as loaded; then as decided, to be stored
	strikes ratelimit.Strikes
	base    ratelimit.State // as loaded, of a call with several demands
}

// one decides a single demand: all, without what only several need.
func (c *Counters) one(now int64, d *ratelimit.Demand, o *ratelimit.Outcome, charge bool) (bool, error) {
	sh := &c.shards[shardOf(d.Key)]
	var p plan
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if err := c.load(sh, d, &p, now, 1, charge); err != nil {
		return false, err
	}
	if p.spilled {
		c.overflow.mu.Lock()
		defer c.overflow.mu.Unlock()
		p.state = c.overflow.state(&d.Params)
	}
	p.decide(d, o, now)
	if !charge {
		return o.Allowed, nil
	}
	return o.Allowed, c.commit(sh, d, &p, o.Allowed, now)
}

// stackPlans is how many demands a call decides without allocating.
const stackPlans = 16

// all decides several demands together. It holds every lock it needs from the
// first look to the last write, in the order of the shards, the overflow
// counters last.
func (c *Counters) all(now int64, demands []ratelimit.Demand, out []ratelimit.Outcome, charge bool) (bool, error) {
	var few [stackPlans]plan
	plans := few[:min(len(demands), stackPlans)]
	if len(demands) > stackPlans {
		plans = make([]plan, len(demands))
	}
	var locks shardSet
	for i := range demands {
		locks.add(shardOf(demands[i].Key))
	}
	locks.lock(c)
	defer locks.unlock(c)
	spilled := false
	allowed := true
	for i := range demands {
		p, d := &plans[i], &demands[i]
		if err := c.load(&c.shards[shardOf(d.Key)], d, p, now, len(demands), charge); err != nil {
			return false, err
		}
		if p.spilled && !spilled {
			spilled = true
			c.overflow.mu.Lock()
			defer c.overflow.mu.Unlock()
		}
		if p.spilled {
			p.state = c.overflow.state(&d.Params)
		}
		follow(plans, demands, i)
		p.base = p.state
		p.decide(d, &out[i], now)
		allowed = allowed && out[i].Allowed
	}
	return allowed, c.settle(now, plans, demands, out, allowed, charge)
}

// follow lets demand i see what an earlier one of the same counter would take.
func follow(plans []plan, demands []ratelimit.Demand, i int) {
	p := &plans[i]
	p.first = i
	for j := i - 1; j >= 0; j-- {
		same := demands[j].Key == demands[i].Key
		if p.spilled {
			same = overflowKeyOf(&demands[j].Params) == overflowKeyOf(&demands[i].Params)
		}
		if same && plans[j].spilled == p.spilled {
			p.first, p.state = plans[j].first, plans[j].state
			if demands[j].Key == demands[i].Key {
				p.strikes = plans[j].strikes
			}
			return
		}
	}
}

// settle corrects the answers when the demands do not pass together, and
// stores what a charge or a refusal changes.
func (c *Counters) settle(now int64, plans []plan, demands []ratelimit.Demand, out []ratelimit.Outcome, allowed, charge bool) error {
	for i := range demands {
		p, d := &plans[i], &demands[i]
		if !allowed && out[i].Allowed {
			out[i].Remaining, out[i].ResetAt = plans[p.first].base.Status(&d.Params, now)
		}
		if !charge {
			continue
		}
		sh := &c.shards[shardOf(d.Key)]
		p.at = sh.table.find(split(d.Key)) // an earlier demand may have moved it
		// A later one of the same counter has seen charges that are not made.
		p.passed = p.passed || p.first != i
		if err := c.commit(sh, d, p, allowed, now); err != nil {
			return err
		}
	}
	return nil
}

// load finds the demand's counter and reads it into p. more is how many kinds
// the call may still intern, so that no later write of it fails. Only a charge
// makes room: the time of a Peek may lie ahead, where live counters have ended.
func (c *Counters) load(sh *shard, d *ratelimit.Demand, p *plan, now int64, more int, charge bool) error {
	if d.Params.BlockAfter > 0 {
		p.strikes = sh.strikes[d.Key]
	}
	p.at = sh.table.find(split(d.Key))
	if p.at >= 0 {
		sh.table.read(p.at, &p.state)
	} else if c.keys.Load() >= c.max && (!charge || !c.makeRoom(sh, now)) {
		p.spilled = true
		return nil
	}
	return sh.table.reserve(&d.Params, more)
}

// decide moves p.state and p.strikes on, and fills o.
func (p *plan) decide(d *ratelimit.Demand, o *ratelimit.Outcome, now int64) {
	*o = p.state.Decide(&d.Params, now, d.Cost)
	p.passed = o.Allowed
	// Many keys share an overflow counter: they feel the blocks they earned
	// before, but its refusals are strikes against nobody.
	if d.Params.BlockAfter <= 0 || p.spilled && now >= p.strikes.Until {
		return
	}
	before := p.strikes
	*o = p.strikes.Judge(&d.Params, now, *o)
	p.struck = p.strikes != before
}

// commit stores what the demand changed: the charge if all passed; of a refusal
// by the count the window it moved into, and the strike.
func (c *Counters) commit(sh *shard, d *ratelimit.Demand, p *plan, charge bool, now int64) error {
	if p.struck {
		c.strike(sh, d.Key, p.strikes)
	}
	switch {
	case p.spilled:
		c.overflow.hits.Add(1)
		if charge || !p.passed {
			c.overflow.counters[overflowKeyOf(&d.Params)] = p.state
		}
	case charge, !p.passed && p.at >= 0:
		return c.store(sh, d, p.at, &p.state, now)
	}
	return nil
}

// store writes a counter's state, at its slot or into a new one.
func (c *Counters) store(sh *shard, d *ratelimit.Demand, at int, s *ratelimit.State, now int64) error {
	t := &sh.table
	k := kindOf(s, &d.Params)
	number := 0
	if at >= 0 {
		number = int(t.slots[at].when & maxKinds)
	}
	if number == 0 || t.kinds[number-1] != k {
		var err error
		if number, err = t.intern(k); err != nil {
			return err
		}
	}
	if at < 0 {
		var dropped int
		lo, hi := split(d.Key)
		at, dropped = t.add(lo, hi, now)
		c.keys.Add(1)
		c.dropped(dropped)
	}
	t.slots[at].pack(s, number)
	return nil
}

// strike records a key's strikes. A key needs a counter before it is refused,
// so strikes are about as bounded as counters; beyond that there are no new
// ones until a sweep.
func (c *Counters) strike(sh *shard, k ratelimit.Key, x ratelimit.Strikes) {
	if sh.strikes == nil {
		sh.strikes = make(map[ratelimit.Key]ratelimit.Strikes)
	}
	if _, known := sh.strikes[k]; known || int64(len(sh.strikes)) < c.max/(shardCount/2)+64 {
		sh.strikes[k] = x
	}
}

// shardSet is a set of shards by number, in ascending order.
type shardSet [shardCount / 64]uint64

func (s *shardSet) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s *shardSet) lock(c *Counters) {
	for w, set := range s {
		for ; set != 0; set &= set - 1 {
			c.shards[w*64+bits.TrailingZeros64(set)].mu.Lock()
		}
	}
}

func (s *shardSet) unlock(c *Counters) {
	for w, set := range s {
		for ; set != 0; set &= set - 1 {
			c.shards[w*64+bits.TrailingZeros64(set)].mu.Unlock()
		}
	}
}
