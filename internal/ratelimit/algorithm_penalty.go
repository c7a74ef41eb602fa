package ratelimit

// Strikes is the penalty state of one counter; the zero value is clean.
// Times are Unix microseconds.
type Strikes struct {
	Count int32 // refusals by the count since the first strike
	Ends  int64 // strikes are forgotten from here: one window after the first
	Until int64 // blocked before this moment; 0: not blocked
}

// Judge applies the rule's penalty to what the count answered at now, makes x
// the strikes to store, and returns the outcome to give.
//
// Params.BlockAfter refusals by the count, within one window of the first of
// them, block the counter for BlockFor from the last. A refusal by the block
// is no strike, so a block ends although the caller keeps trying. The refusal
// that imposes the block is one by the count, and its RetryAt already knows
// the block. A rule whose penalty was removed lifts the blocks it imposed.
func (x *Strikes) Judge(p *Params, now int64, o Outcome) Outcome {
	if p.BlockAfter <= 0 || o.RetryAt == Never {
		return o
	}
	if now < x.Until {
		o.Allowed, o.Blocked = false, true
		return o.blockedUntil(x.Until)
	}
	if o.Allowed {
		return o
	}
	if x.Count == 0 || now >= x.Ends {
		*x = Strikes{Ends: now + p.Window}
	}
	x.Count++
	if x.Count >= p.BlockAfter {
		*x = Strikes{Until: now + p.BlockFor}
		o = o.blockedUntil(x.Until)
	}
	return o
}

// blockedUntil moves the moment of passing to the end of a block, unless the
// count refuses for longer: without traffic a count that passes once passes
// from then on.
func (o Outcome) blockedUntil(until int64) Outcome {
	o.Remaining = 0
	o.RetryAt = max(o.RetryAt, until)
	o.ResetAt = o.RetryAt
	return o
}

// Idle reports whether the strikes mean nothing from now on.
func (x Strikes) Idle(now int64) bool {
	return now >= x.Until && (x.Count == 0 || now >= x.Ends)
}
