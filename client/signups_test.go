package client_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// signupCalls are the calls that let somebody sign up, or settle it.
func signupCalls() map[string]func(context.Context, *client.Client) error {
	return map[string]func(context.Context, *client.Client) error{
		"eligibility": func(ctx context.Context, c *client.Client) error {
			_, err := c.Eligibility(ctx, api.EligibilityRequest{Country: "PL"})
			return err
		},
		"reserve": func(ctx context.Context, c *client.Client) error {
			_, err := c.Reserve(ctx, api.ReserveRequest{EligibilityRequest: api.EligibilityRequest{UserID: "u1"}})
			return err
		},
		"confirm": func(ctx context.Context, c *client.Client) error { _, err := c.Confirm(ctx, "r1"); return err },
		"release": func(ctx context.Context, c *client.Client) error { _, err := c.Release(ctx, "r1"); return err },
	}
}

// TestSignupsFailClosed: without Gantry, and with the answer of something
// else, nobody signs up, whatever the client's fallback for limits is.
func TestSignupsFailClosed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		res  func() (*http.Response, error)
		away bool
	}{
		{"network", func() (*http.Response, error) { return nil, errors.New("reset") }, true},
		{"not connected", func() (*http.Response, error) { return nil, errDial }, true},
		{"degraded", func() (*http.Response, error) { return problem(api.CodeServiceDegraded, nil), nil }, true},
		{"maintenance", func() (*http.Response, error) { return problem(api.CodeSystemMaintenance, nil), nil }, true},
		{"proxy", func() (*http.Response, error) { return respond(502, "<html>"), nil }, true},
		{"wrong key", func() (*http.Response, error) { return problem(api.CodeUnauthenticated, nil), nil }, false},
		{"other json", func() (*http.Response, error) { return respond(200, "{}"), nil }, false},
		{"other json that allows", func() (*http.Response, error) { return respond(200, `{"allowed":true}`), nil }, false},
		{"nothing", func() (*http.Response, error) { return respond(204, ""), nil }, false},
		{"odd details", func() (*http.Response, error) {
			return respond(200, `{"mode":"SOFT_LAUNCH","code":"RATE_LIMITED","details":7}`), nil
		}, false},
	}
	for _, tt := range tests {
		for name, call := range signupCalls() {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newClient(t, func(*http.Request) (*http.Response, error) { return tt.res() })
					if err := call(t.Context(), c); err == nil || errors.Is(err, client.ErrUnavailable) != tt.away {
						t.Errorf("%v, want an error, away %t", err, tt.away)
					}
				})
			})
		}
	}
}

// TestSignupRepeats: what is safe is sent again when no answer came; a
// refusal is not waited for, the settling of a signup is.
func TestSignupRepeats(t *testing.T) {
	t.Parallel()
	lost := func() (*http.Response, error) { return nil, errors.New("reset") }
	degraded := func() (*http.Response, error) { return problem(api.CodeServiceDegraded, nil), nil }
	limited := func() (*http.Response, error) {
		return respond(429, `{"code":"RATE_LIMITED","retry":"after","retryAfterSeconds":1,"details":{"policy":"SIGNUP_RESERVE"}}`), nil
	}
	tests := []struct {
		name, call string
		res        func() (*http.Response, error)
		sent       int
	}{
		{"lost", "eligibility", lost, 3}, {"lost", "reserve", lost, 3}, {"lost", "confirm", lost, 3}, {"lost", "release", lost, 3},
		{"limited", "eligibility", limited, 1}, {"limited", "reserve", limited, 1},
		{"degraded", "reserve", degraded, 1}, {"degraded", "confirm", degraded, 3}, {"degraded", "release", degraded, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name+"/"+tt.call, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := newClient(t, func(r *http.Request) (*http.Response, error) {
					if sent++; r.Header.Get("Idempotency-Key") != "" {
						t.Error("an Idempotency-Key, which keeps the step from sharing a transaction")
					}
					return tt.res()
				})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				if err := signupCalls()[tt.call](ctx, c); err == nil || sent != tt.sent {
					t.Errorf("sent %d times, %v; want %d and an error", sent, err, tt.sent)
				}
			})
		})
	}
}

// TestRefusedDetails: a refusal of a reservation says why.
func TestRefusedDetails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			return problem(api.CodeCountryNotAllowed, api.SignupRefusedDetails{Mode: "CLOSED_BETA", Country: "US", Problem: "not open"}), nil
		})
		_, err := c.Reserve(t.Context(), api.ReserveRequest{})
		var e *client.Error
		var d api.SignupRefusedDetails
		if !errors.As(err, &e) || e.Problem.Code != api.CodeCountryNotAllowed || e.Details(&d) != nil || d.Country != "US" || d.Problem != "not open" {
			t.Errorf("%v with %+v, want COUNTRY_NOT_ALLOWED of US", err, d)
		}
	})
}
