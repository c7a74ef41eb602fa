package httpapi_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/launch"
)

// TestDetailsAsPublished: what launch puts into an answer is what package api
// tells clients to read.
func TestDetailsAsPublished(t *testing.T) {
	at := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ sent, read any }{
		{launch.Refusal{Mode: launch.SoftLaunch, Problem: "p", Country: "US", AllowedCountries: []string{"PL"}, Limit: 1, Actual: 2, Day: "2026-11-24", OpensAt: &at, Until: &at}, &api.SignupRefusedDetails{}},
		{launch.Precondition{Problem: "readiness", Mode: launch.ClosedBeta, Target: launch.SoftLaunch, Version: 3, Report: "r"}, &api.PreconditionDetails{}},
	} {
		sent, err := json.Marshal(tt.sent)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(sent))
		dec.DisallowUnknownFields()
		if err := dec.Decode(tt.read); err != nil {
			t.Errorf("%T: %v", tt.sent, err)
		}
		if read, err := json.Marshal(tt.read); err != nil || !bytes.Equal(read, sent) {
			t.Errorf("%T is read as\n%s, want\n%s (%v)", tt.sent, read, sent, err)
		}
	}
}
