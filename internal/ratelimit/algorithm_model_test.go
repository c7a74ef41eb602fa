package ratelimit_test

import (
	"math/big"

	"avalo.app/gantry/internal/ratelimit"
)

// The models say what the formulas mean in another way than algorithm.go does:
// from the list of all that was charged, in rational numbers.

type charge struct{ at, cost int64 }

// model decides one rule.
type model interface {
	// take decides a demand that is charged if it passes. A refused one leaves
	// a trace too: the newest moment seen.
	take(now, cost int64) bool
	peek(now, cost int64) bool
	remaining(now int64) int64
}

// windowModel counts charges by the number of the window they fall into,
// counted from a first request that no request followed for three windows.
type windowModel struct {
	p       ratelimit.Params
	begun   bool
	first   int64 // s
	newest  int64 // number of the newest window a request fell into: k
	charges []charge
}

func (m *windowModel) number(at int64) int64 {
	n := new(big.Int).Sub(big.NewInt(at), big.NewInt(m.first))
	return n.Div(n, big.NewInt(m.p.Window)).Int64() // Euclidean: floor
}

// view returns the model as a request at now sees it, and the moment that
// counts: never before the newest window.
func (m windowModel) view(now int64) (windowModel, int64) {
	if !m.begun || m.number(now)-m.newest >= 3 {
		return windowModel{p: m.p, begun: true, first: now}, now
	}
	m.newest = max(m.newest, m.number(now))
	return m, max(now, m.first+m.newest*m.p.Window)
}

func (m *windowModel) sum(number int64) (units int64) {
	for _, c := range m.charges {
		if m.number(c.at) == number {
			units += c.cost
		}
	}
	return units
}

// used is what counts against what at the moment at.
func (m *windowModel) used(at int64) (used *big.Rat, limit int64) {
	cur, prev := m.sum(m.newest), m.sum(m.newest-1)
	if m.p.Algorithm == ratelimit.WindowCredit {
		limit = m.p.Limit
		if m.newest > 0 {
			limit = min(m.p.Burst, limit+max(0, limit-prev))
		}
		return new(big.Rat).SetInt64(cur), limit
	}
	left := m.first + (m.newest+1)*m.p.Window - at
	w := big.NewRat(left, m.p.Window)
	w.Mul(w, new(big.Rat).SetInt64(prev))
	return w.Add(w, new(big.Rat).SetInt64(cur)), m.p.Limit
}

func (m *windowModel) peek(now, cost int64) bool {
	v, at := m.view(now)
	used, limit := v.used(at)
	return used.Add(used, new(big.Rat).SetInt64(cost)).Cmp(new(big.Rat).SetInt64(limit)) <= 0
}

func (m *windowModel) take(now, cost int64) bool {
	ok := m.peek(now, cost)
	v, at := m.view(now)
	if ok {
		v.charges = append(v.charges, charge{at, cost})
	}
	*m = v
	return ok
}

func (m *windowModel) remaining(now int64) int64 { return most(m, now) }

// bucketModel is GCRA as ATM Forum TM 4.0 states it: a theoretical arrival
// time, and a tolerance.
type bucketModel struct {
	p      ratelimit.Params
	begun  bool
	tat    *big.Rat
	newest int64
}

func (m *bucketModel) ahead(now, cost int64) (next, ahead *big.Rat) {
	at := new(big.Rat).SetInt64(max(now, m.newest))
	next = new(big.Rat).Set(at)
	if m.begun && m.tat.Cmp(next) > 0 {
		next.Set(m.tat)
	}
	interval := big.NewRat(m.p.Window, m.p.Limit)
	next.Add(next, interval.Mul(interval, new(big.Rat).SetInt64(cost)))
	return next, new(big.Rat).Sub(next, at)
}

func (m *bucketModel) peek(now, cost int64) bool {
	_, ahead := m.ahead(now, cost)
	size := m.p.Burst
	if size == 0 {
		size = m.p.Limit
	}
	tolerance := big.NewRat(m.p.Window, m.p.Limit)
	tolerance.Mul(tolerance, new(big.Rat).SetInt64(size))
	return ahead.Cmp(tolerance) <= 0
}

func (m *bucketModel) take(now, cost int64) bool {
	ok := m.peek(now, cost)
	if ok {
		m.tat, _ = m.ahead(now, cost)
	}
	m.begun = m.tat != nil
	m.newest = max(m.newest, now)
	return ok
}

func (m *bucketModel) remaining(now int64) int64 { return most(m, now) }

// most returns the greatest cost that would pass at now, by trying.
func most(m interface{ peek(now, cost int64) bool }, now int64) int64 {
	low, high := int64(0), int64(1)
	for m.peek(now, high) {
		low, high = high, high*2
	}
	for high-low > 1 {
		if mid := (low + high) / 2; m.peek(now, mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

func newModel(p ratelimit.Params) model {
	if p.Algorithm == ratelimit.GCRA {
		return &bucketModel{p: p}
	}
	return &windowModel{p: p}
}
