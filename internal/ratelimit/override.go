package ratelimit

import (
	"time"
	"unicode/utf8"

	"avalo.app/gantry/internal/fault"
)

// AnyAction is the action of an override that holds for every policy.
const AnyAction = "*"

// Override changes how policies treat one subject until it expires. Exactly
// one of Multiplier, Exempt and BlockUntil is set.
type Override struct {
	ID        string
	Dimension Scope  // exactly one of User, IP, Device
	Subject   string // the user id; for IP and Device its pseudonym, see Hasher.Pseudonym
	Action    string // an action, or AnyAction

	// Multiplier scales limit and burst of every rule whose scope holds
	// Dimension, in thousandths (1500: half as much again); results are
	// rounded down and lie between 1 and MaxLimit. 0: no scaling.
	Multiplier int64
	Exempt     bool      // allowed without counting
	BlockUntil time.Time // refused until then

	ExpiresAt time.Time // the override ends; required
	Reason    string
	CreatedBy string
	CreatedAt time.Time
}

// Bounds of an override.
const (
	MaxMultiplier   = 1_000_000 // 1000×, in thousandths
	MaxReason       = 500       // characters
	minReason       = 3         // characters
	MaxOverrideTime = 366 * 24 * time.Hour
)

// Validate reports the first field that breaks a bound, for a request made
// at now.
func (o Override) Validate(now time.Time) error {
	const op = "ratelimit.Override"
	set := 0
	for _, on := range []bool{o.Multiplier != 0, o.Exempt, !o.BlockUntil.IsZero()} {
		if on {
			set++
		}
	}
	n := utf8.RuneCountInString(o.Reason)
	switch {
	case o.Dimension != User && o.Dimension != IP && o.Dimension != Device:
		return fault.Invalid(op, fault.Field{Field: "dimension", Allowed: []string{"user", "ip", "device"}, Actual: o.Dimension.String()},
			"dimension must be one of user, ip, device")
	case set != 1:
		return fault.Invalid(op, fault.Field{Field: "multiplier", Problem: "exactly one of multiplier, exempt and blockUntil", Actual: set},
			"set exactly one of multiplier, exempt and blockUntil; %d are set", set)
	case o.Multiplier < 0 || o.Multiplier > MaxMultiplier:
		return fault.Invalid(op, fault.Field{Field: "multiplier", Limit: "0.001..1000", Actual: float64(o.Multiplier) / 1000},
			"multiplier must be between 0.001 and 1000")
	case o.ExpiresAt.IsZero() || !o.ExpiresAt.After(now) || o.ExpiresAt.Sub(now) > MaxOverrideTime:
		return fault.Invalid(op, fault.Field{Field: "expiresAt", Limit: "in the future, at most 366 days ahead", Actual: o.ExpiresAt},
			"expiresAt must lie in the future and at most 366 days ahead: an override never lasts for ever")
	case !o.BlockUntil.IsZero() && (!o.BlockUntil.After(now) || o.BlockUntil.After(o.ExpiresAt)):
		return fault.Invalid(op, fault.Field{Field: "blockUntil", Limit: o.ExpiresAt, Actual: o.BlockUntil},
			"blockUntil must lie in the future and not after expiresAt")
	case n < minReason || n > MaxReason:
		return fault.Invalid(op, fault.Field{Field: "reason", Limit: "3..500 characters", Actual: n},
			"reason must have 3 to 500 characters; it has %d", n)
	}
	return nil
}

// overrideKey finds an override on the hot path without allocating.
type overrideKey struct {
	dimension Scope
	subject   string
	action    string
}

// scaled returns v times the multiplier (thousandths), rounded down, between 1
// and MaxLimit: several multipliers of one subject follow upon each other, and
// must not overflow. 0 stays 0.
func scaled(v, thousandths int64) int64 {
	if v == 0 {
		return 0
	}
	return min(max(1, v/1000*thousandths+v%1000*thousandths/1000), MaxLimit)
}
