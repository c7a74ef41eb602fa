package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"avalo.app/gantry/api"
)

// Eligibility answers whether somebody could sign up now, and changes
// nothing. A refusal is an answer, not an error: its Details are an
// api.RateLimitedDetails if its Code is RATE_LIMITED, else an
// api.SignupRefusedDetails, or nil. Only Reserve is exact.
//
// Signups fail closed: there is no local fallback, and ErrUnavailable means
// that nobody may sign up. A wrong invite code is counted each time it is
// asked about; too many are the *Error RATE_LIMITED. Role app.
func (c *Client) Eligibility(ctx context.Context, r api.EligibilityRequest) (api.Eligibility, error) {
	var out struct {
		api.Eligibility
		Details json.RawMessage `json:"details"`
	}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/signups/eligibility", body: r, out: &out, repeats: unanswered})
	if err != nil {
		return api.Eligibility{}, err
	}
	e := out.Eligibility
	if e.Mode == "" || !e.Allowed && e.Code == "" {
		return api.Eligibility{}, errors.New("client: the answer is not Gantry's on a signup: check the base URL")
	}
	if e.Details, err = signupDetails(e.Code, out.Details); err != nil {
		return api.Eligibility{}, err
	}
	return e, nil
}

// signupDetails are the details of a refused signup.
func signupDetails(code api.Code, raw json.RawMessage) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if code == api.CodeRateLimited {
		return decoded[api.RateLimitedDetails](code, raw)
	}
	return decoded[api.SignupRefusedDetails](code, raw)
}

func decoded[T any](code api.Code, raw json.RawMessage) (any, error) {
	var d T
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("client: details of %s: %w", code, err)
	}
	return d, nil
}

// Reserve takes a slot of the day, and a use of the invite, for whoever signs
// up: by UserID, Email or both. Make the account only with the reservation,
// then Confirm it, or Release it if no account came of it; else it expires.
// The same subject gets the same reservation again, Existing: one that is
// confirmed has its account already.
//
// A refusal is an *Error, with the code of the first rule that refuses.
// Signups fail closed: without a reservation nobody may sign up, and there is
// no local fallback. A request without an answer is sent again. Role app.
func (c *Client) Reserve(ctx context.Context, r api.ReserveRequest) (api.Reservation, error) {
	return c.reservation(ctx, call{method: http.MethodPost, path: "/v1/signups", body: r, repeats: unanswered})
}

// Confirm says that the account exists. Confirming again succeeds. A
// reservation that has ended takes a slot of its day again if there is one;
// else the error is CONFLICT, and the account is listed as unbacked: see
// Signups. Role app.
func (c *Client) Confirm(ctx context.Context, id string) (api.Reservation, error) {
	return c.reservation(ctx, call{method: http.MethodPost, path: signupPath(id) + "/confirm", repeats: safe})
}

// Release gives the slot and the invite use back. Releasing again succeeds;
// what is confirmed is CONFLICT. Role app.
func (c *Client) Release(ctx context.Context, id string) (api.Reservation, error) {
	return c.reservation(ctx, call{method: http.MethodDelete, path: signupPath(id), repeats: safe})
}

// Withdraw is Release unless the reservation was answered more than once: a
// second request of the same subject may be making the account with it. It
// then stays as it is, and expires if nobody confirms it. Role app.
func (c *Client) Withdraw(ctx context.Context, id string) (api.Reservation, error) {
	return c.reservation(ctx, call{method: http.MethodDelete, path: signupPath(id), query: params("sole", "true"), repeats: safe})
}

func signupPath(id string) string { return "/v1/signups/" + url.PathEscape(id) }

// reservation sends a call that answers with one. An answer without it must
// not let somebody sign up.
func (c *Client) reservation(ctx context.Context, k call) (api.Reservation, error) {
	var out api.Reservation
	k.out = &out
	if _, err := c.do(ctx, k); err != nil {
		return api.Reservation{}, err
	}
	if out.ID == "" || out.State == "" {
		return api.Reservation{}, errors.New("client: the answer is not a reservation of Gantry's: check the base URL")
	}
	return out, nil
}

// SignupCounts returns the counters of a day such as "2026-11-24"; "" is
// today in the settings' time zone. Role moderator.
func (c *Client) SignupCounts(ctx context.Context, day string) (api.SignupCounts, error) {
	var out api.SignupCounts
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/signups/counts", query: params("day", day), out: &out, repeats: safe})
	return out, err
}

// SignupQuery selects reservations. Zero fields select everyone's, of every
// day and state; at most 100 rows, or Limit (at most 1000).
type SignupQuery struct {
	State  string // see api.Reservation
	Day    string // like 2026-11-24
	UserID string
	Limit  int // rows
}

// Signups returns reservations, newest first. State "unbacked" are accounts
// without a slot. Role moderator.
func (c *Client) Signups(ctx context.Context, q SignupQuery) ([]api.Reservation, error) {
	var out struct {
		Signups []api.Reservation `json:"signups"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/signups", out: &out, repeats: safe,
		query: params("state", q.State, "day", q.Day, "userId", q.UserID, "limit", number(q.Limit))})
	return out.Signups, err
}

// SignupDrift compares every counter with the rows that it counts, and
// returns those that differ: none, as long as all is well. Role moderator.
func (c *Client) SignupDrift(ctx context.Context) ([]api.SignupDrift, error) {
	var out struct {
		Drift []api.SignupDrift `json:"drift"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/signups/drift", out: &out, repeats: safe})
	return out.Drift, err
}
