package ratelimit_test

import (
	"testing"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
)

// FuzzSubject: any subject is either refused as INVALID_ARGUMENT, and leaves
// nothing behind, or counted exactly: one check takes one unit.
func FuzzSubject(f *testing.F) {
	f.Add("LOGIN", "alice", "203.0.113.9", "d1", int64(1))
	f.Add("MESSAGE_SEND", "a\x00b", "::ffff:1.2.3.4", "", int64(0))
	f.Add("", "\xff", "fe80::1%eth0", "\u202e", int64(-1))
	f.Fuzz(func(t *testing.T, action, user, ip, device string, cost int64) {
		b := newBench(&testing.T{})
		r := ratelimit.Request{Action: action, Subject: ratelimit.Subject{User: user, IP: ip, Device: device}, Cost: cost}
		first, err := b.Check(t.Context(), r)
		if err != nil {
			if fault.CodeOf(err) != fault.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		second, err := b.Peek(t.Context(), r)
		if err != nil || !first.Allowed || second.Allowed && second.Remaining != first.Remaining-max(cost, 1) {
			t.Fatalf("first %+v, then %+v, %v", first, second, err)
		}
	})
}
