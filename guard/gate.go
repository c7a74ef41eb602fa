package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

const (
	gateTimeout    = 10 * time.Second // of the question, and of each step on a reservation
	authFailure    = "AUTH_FAILURE"   // the policy that counts wrong keys: about the host, not about the user
	stateConfirmed = "confirmed"      // of a reservation whose account exists
)

// GateOption changes what Gate does.
type GateOption func(*gateOptions)

type gateOptions struct{ reserve bool }

// WithReservation makes the gate exact, for the endpoint that makes the
// account: it takes a slot of the day before the handler runs, confirms it
// when the handler has answered 2xx, and gives it back after any other answer
// and after a panic.
//
// It fits a handler whose status tells whether the account was made. One that
// answers a form by 303, or shows its errors with 200, must call
// client.Client.Reserve, Confirm and Release itself.
//
// The request must name a UserID or an Email: the subject. Its second request
// gets the same reservation. So that neither takes the other's slot away, a
// reservation that was answered to more than one request is not given back:
// the one that makes the account confirms it, or it expires by itself, 15
// minutes after it was made unless the launch settings say otherwise. A
// subject that has signed up already passes, and nothing is taken or given
// back: the handler knows the account.
//
// The step after the handler waits for Gantry, up to ten seconds, also when
// the caller has gone. If it fails, the error hook gets an *Unconfirmed.
//
// Reservations are counted (policy SIGNUP_RESERVE: ten an hour by address,
// three by device): put the gate behind what validates the form.
func WithReservation() GateOption { return func(o *gateOptions) { o.reserve = true } }

// Unconfirmed is the error of an account that the handler made while its
// reservation could not be confirmed. If Err is client.ErrUnavailable, confirm
// it later: the slot is kept until the reservation expires, and a late
// confirmation takes one again if its day has one. If Err is CONFLICT, the
// account is without a slot, and Gantry lists it as unbacked.
type Unconfirmed struct {
	Reservation api.Reservation
	Err         error
}

// Error says what to do.
func (e *Unconfirmed) Error() string {
	return fmt.Sprintf("guard: the account was made and its reservation %s is not confirmed; confirm it at Gantry: %v", e.Reservation.ID, e.Err)
}

// Unwrap is why.
func (e *Unconfirmed) Unwrap() error { return e.Err }

// Gate lets a request through only if whoever it is for may sign up now.
// applicant reads that from the request: what the user states, and the
// client's address, see RemoteIP. It may read the body: the handler gets it
// whole again, if applicant reads at most its first MiB.
//
// A refusal is Gantry's problem, in the caller's language: 403 with the rule
// that refuses, 429 RATE_LIMITED with Retry-After, 503 SYSTEM_MAINTENANCE, 400
// INVALID_ARGUMENT for what cannot be, such as an e-mail address without an @.
//
// It fails closed. When Gantry is away, or answers with what is no decision,
// such as to a wrong key, the answer is 503 SERVICE_DEGRADED with Retry-After,
// and the error goes to the hook. What client.New was told about local
// fallback is for limits only.
//
// Without WithReservation the gate only asks: of a thousand requests that ask
// for the day's last slot at once, all may pass.
func (g *Guard) Gate(applicant func(*http.Request) api.EligibilityRequest, opts ...GateOption) func(http.Handler) http.Handler {
	var o gateOptions
	for _, opt := range opts {
		opt(&o)
	}
	pass := g.eligible
	if o.reserve {
		pass = g.reserved
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			pass(w, r, next, peekBody(r, applicant))
		})
	}
}

// peekBody lets applicant read the start of the body, and puts it back.
func peekBody(r *http.Request, applicant func(*http.Request) api.EligibilityRequest) api.EligibilityRequest {
	body := r.Body
	if body == nil {
		return applicant(r)
	}
	var read bytes.Buffer
	r.Body = io.NopCloser(io.TeeReader(io.LimitReader(body, maxBody), &read))
	a := applicant(r)
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&read, body), body}
	return a
}

// eligible asks, and runs the handler if the answer is yes.
func (g *Guard) eligible(w http.ResponseWriter, r *http.Request, next http.Handler, a api.EligibilityRequest) {
	ctx, cancel := context.WithTimeout(r.Context(), gateTimeout)
	defer cancel()
	e, err := g.c.Eligibility(ctx, a)
	switch {
	case err != nil:
		g.shut(w, r, err)
	case e.Allowed:
		next.ServeHTTP(w, r)
	default:
		g.turnAway(w, r, &api.Problem{Code: e.Code, Details: e.Details})
	}
}

// reserved takes a slot, runs the handler, and settles what became of it.
func (g *Guard) reserved(w http.ResponseWriter, r *http.Request, next http.Handler, a api.EligibilityRequest) {
	// A caller who leaves must not cut the reservation off: nobody would give
	// it back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), gateTimeout)
	defer cancel()
	res, err := g.c.Reserve(ctx, api.ReserveRequest{EligibilityRequest: a})
	if err != nil {
		g.shut(w, r, err)
		return
	}
	if res.State == stateConfirmed {
		next.ServeHTTP(w, r)
		return
	}
	made := false
	defer func() { g.settle(r, res, made) }() // also after a panic
	if r.Context().Err() != nil {
		degraded(w, r, "the request ended before its reservation was made")
		return
	}
	c := &capture{ResponseWriter: w, tooLarge: true} // for the status alone
	next.ServeHTTP(c, r)
	made = c.code()/100 == 2
}

// settle confirms a reservation whose account was made, and gives back one
// that nobody else can be using.
func (g *Guard) settle(r *http.Request, res api.Reservation, made bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), gateTimeout)
	defer cancel()
	if made {
		if _, err := g.c.Confirm(ctx, res.ID); err != nil {
			g.hook(r, &Unconfirmed{Reservation: res, Err: err})
		}
		return
	}
	if res.Existing {
		return
	}
	if _, err := g.c.Withdraw(ctx, res.ID); err != nil {
		g.hook(r, fmt.Errorf("guard: the reservation %s was not given back, and holds its slot until it expires: %w", res.ID, err))
	}
}

// shut answers an error: a refusal as it is, and anything else by 503.
func (g *Guard) shut(w http.ResponseWriter, r *http.Request, err error) {
	var e *client.Error
	if errors.As(err, &e) && decides(e) {
		g.turnAway(w, r, &e.Problem)
		return
	}
	if r.Context().Err() == nil { // else the caller hung up, and nothing failed
		g.hook(r, err)
	}
	degraded(w, r, "it could not be decided whether this signup is allowed; repeat the request after Retry-After")
}

// decides reports whether an error is about the signup, rather than about the
// host's key or Gantry's state.
func decides(e *client.Error) bool {
	switch e.Problem.Code {
	case api.CodeRateLimited:
		var d api.RateLimitedDetails
		return e.Details(&d) == nil && d.Policy != authFailure
	case api.CodeLaunchModeRestricted, api.CodeCountryNotAllowed, api.CodeInviteCodeRequired, api.CodeInviteCodeInvalid, api.CodeInviteCodeDepleted,
		api.CodeDailyLimitReached, api.CodeSystemMaintenance, api.CodeConflict, api.CodeInvalidArgument:
		return true
	}
	return false
}

// turnAway writes Gantry's refusal in the caller's language.
func (g *Guard) turnAway(w http.ResponseWriter, r *http.Request, refusal *api.Problem) {
	if _, ok := api.Lookup(refusal.Code); !ok {
		g.hook(r, fmt.Errorf("guard: Gantry refused a signup with the code %q, which this version does not know", refusal.Code))
		degraded(w, r, "this signup is not allowed")
		return
	}
	p := problemOf(r, refusal.Code, refusal.Detail)
	p.Details, p.RequestID, p.ViolatedPolicies = refusal.Details, refusal.RequestID, refusal.ViolatedPolicies
	if refusal.RetryAfterSeconds > 0 {
		p.RetryAfterSeconds = refusal.RetryAfterSeconds
	}
	if d, ok := refusal.Details.(api.RateLimitedDetails); ok { // of an answer, which has no members for it
		p.RetryAfterSeconds, p.ViolatedPolicies = max(1, d.RetryAfter), []string{d.PolicyName}
	}
	if p.Code == api.CodeRateLimited {
		p.Type = api.TypeQuotaExceeded
	}
	writeProblem(w, p)
}
