package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

// Hooks are the calls of authentication providers around a signup. What is
// nil is off.
type Hooks struct {
	Supabase       *Signatures
	CountryField   string // of Supabase's user_metadata
	InviteField    string
	FirebaseCreate access.VerifyFunc // of tokens for beforeCreate alone
	FirebaseSignIn access.VerifyFunc // of tokens for beforeSignIn alone
	Webhook        *Signatures
}

// hookTimeout bounds the answer to a hook. Supabase's three attempts share
// 5 s, and then the signup fails: a refusal in time beats a timeout.
const hookTimeout = 800 * time.Millisecond

// Signatures verify requests signed by Standard Webhooks.
type Signatures struct{ keys []*standardwebhooks.Webhook }

// NewSignatures reads secrets as providers show them: "v1,whsec_…", several
// joined by | while one replaces another.
func NewSignatures(secrets string) (*Signatures, error) {
	s := &Signatures{}
	for secret := range strings.SplitSeq(secrets, "|") {
		// The library strips whsec_ only.
		k, err := standardwebhooks.NewWebhook(strings.TrimPrefix(strings.TrimSpace(secret), "v1,"))
		if err != nil {
			return nil, fault.New(fault.InvalidArgument, "httpapi.NewSignatures", "a signing secret must be whsec_ and base64")
		}
		s.keys = append(s.keys, k)
	}
	return s, nil
}

// signatureAge is how far a signature's time may be from now, as Standard
// Webhooks recommend.
const signatureAge = 5 * time.Minute

// verify checks signature and time of a body.
func (s *Signatures) verify(h http.Header, body []byte, now time.Time) error {
	ok := false
	for _, k := range s.keys {
		ok = ok || k.VerifyIgnoringTimestamp(body, h) == nil
	}
	if !ok {
		return fault.New(fault.Unauthenticated, "httpapi.hook", "the signature is missing or not of a configured secret")
	}
	// Our own clock judges the time; the library would ask the machine's.
	at, err := strconv.ParseInt(h.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64)
	if err != nil || now.Sub(time.Unix(at, 0)).Abs() > signatureAge {
		return fault.New(fault.Unauthenticated, "httpapi.hook", "the signature is more than 5 minutes off this machine's clock: it is a replay, or a clock is wrong")
	}
	return nil
}

// signed reads a signed body, or answers why not.
func (s *Server) signed(w http.ResponseWriter, r *http.Request, keys *Signatures) ([]byte, bool) {
	if keys == nil {
		s.fail(w, r, fault.New(fault.NotFound, "httpapi.hook", "this hook is not configured; see launch.hooks in docs/CONFIG.md"))
		return nil, false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.fail(w, r, bodyError(err))
		return nil, false
	}
	if err := keys.verify(r.Header, body, s.d.Now()); err != nil {
		s.fail(w, r, s.authFailed(r, "hook", err))
		return nil, false
	}
	return body, true
}

// hookReserve reserves for a hook, in time.
func (s *Server) hookReserve(r *http.Request, a launch.Application) (launch.Reservation, error) {
	ctx, cancel := context.WithTimeout(r.Context(), hookTimeout)
	defer cancel()
	if a.Country == "" && a.IP != "" && s.d.IPCountry != nil {
		a.Country = s.d.IPCountry(a.IP)
	}
	a.Hook = true
	res, _, err := s.d.Signups.Reserve(ctx, a)
	return res, err
}

// hookSettle confirms or releases for a hook, in time. The account exists, or
// does not, whatever the answer, so CONFLICT and NOT_FOUND are no refusals:
// asking again would change nothing. An account without a slot is listed by
// the feature (state unbacked). What is not: an account whose e-mail address
// another confirmed account has, the release of what is confirmed, and, by
// ConfirmKnown, who never reserved. Other errors are the provider's to repeat.
func (s *Server) hookSettle(r *http.Request, settle func(context.Context, launch.Application) (launch.Reservation, error), a launch.Application) error {
	ctx, cancel := context.WithTimeout(r.Context(), hookTimeout)
	defer cancel()
	_, err := settle(ctx, a)
	if code := fault.CodeOf(err); code == fault.Conflict || code == fault.NotFound {
		return nil
	}
	return err
}

// hookProblem renders a refusal in a language.
func (s *Server) hookProblem(w http.ResponseWriter, r *http.Request, lang string, err error) *api.Problem {
	c := s.caller(w, r, access.Principal{})
	c.language = lang
	return s.problem(c, err)
}

func hookJSON(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return badJSON(err, "body")
	}
	return nil
}

type supabaseHook struct {
	Metadata struct {
		UUID string `json:"uuid"`
		IP   string `json:"ip_address"`
	} `json:"metadata"`
	User struct {
		ID           string         `json:"id"`
		Email        string         `json:"email"`
		UserMetadata map[string]any `json:"user_metadata"`
	} `json:"user"`
}

// application maps the hook's body. With OAuth the id before creation is a
// throw-away, so an e-mail address alone is the subject then.
func (h supabaseHook) application(k Hooks, before bool) launch.Application {
	text := func(field string) string { s, _ := h.User.UserMetadata[field].(string); return s }
	a := launch.Application{UserID: h.User.ID, Email: h.User.Email, IP: h.Metadata.IP, Country: text(k.CountryField), InviteCode: text(k.InviteField), Source: "supabase"}
	if before && a.Email != "" {
		a.UserID = ""
	}
	if before && h.Metadata.UUID != "" {
		a.Event = "supabase:" + h.Metadata.UUID // webhook-id is new on every attempt
	}
	return a
}

// supabaseError is a refusal as Supabase Auth reads it, under status 200: a
// 4xx would become a 500 at the client, and an empty message means allow.
type supabaseError struct {
	Error struct {
		HTTPCode int    `json:"http_code"`
		Message  string `json:"message"`
	} `json:"error"`
}

func (s *Server) supabaseBefore(w http.ResponseWriter, r *http.Request) {
	body, ok := s.signed(w, r, s.d.Hooks.Supabase)
	if !ok {
		return
	}
	var h supabaseHook
	err := hookJSON(body, &h)
	if err == nil {
		_, err = s.hookReserve(r, h.application(s.d.Hooks, true))
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	lang, _ := h.User.UserMetadata["locale"].(string)
	p := s.hookProblem(w, r, api.MatchLanguage(lang), err)
	var e supabaseError
	e.Error.HTTPCode, e.Error.Message = p.Status, p.Message
	writeJSON(w, http.StatusOK, "application/json", e)
}

func (s *Server) supabaseAfter(w http.ResponseWriter, r *http.Request) {
	body, ok := s.signed(w, r, s.d.Hooks.Supabase)
	if !ok {
		return
	}
	var h supabaseHook
	err := hookJSON(body, &h)
	if err == nil {
		err = s.hookSettle(r, s.d.Signups.ConfirmSubject, h.application(s.d.Hooks, false))
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// kratosBefore answers Ory Kratos's registration web_hook (can_interrupt).
// Its body is what the Jsonnet of docs/LAUNCH.md makes.
func (s *Server) kratosBefore(w http.ResponseWriter, r *http.Request) {
	a, err := kratosApplication(r)
	if err == nil {
		_, err = s.hookReserve(r, a)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	p := s.hookProblem(w, r, language(r), err)
	type message struct {
		ID      int            `json:"id"`
		Text    string         `json:"text"`
		Type    string         `json:"type"`
		Context map[string]any `json:"context"`
	}
	type about struct {
		Pointer  string    `json:"instance_ptr"`
		Messages []message `json:"messages"`
	}
	setRetryAfter(w.Header(), p)
	writeJSON(w, p.Status, "application/json", map[string]any{"messages": []about{{Pointer: "#/traits/email",
		Messages: []message{{ID: 4000001, Text: p.Message, Type: "error", Context: map[string]any{"code": p.Code}}}}}})
}

func (s *Server) kratosAfter(w http.ResponseWriter, r *http.Request) {
	a, err := kratosApplication(r)
	if err == nil {
		a.Event = ""
		err = s.hookSettle(r, s.d.Signups.ConfirmSubject, a)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func kratosApplication(r *http.Request) (launch.Application, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return launch.Application{}, bodyError(err)
	}
	var in api.EligibilityRequest
	if err := hookJSON(body, &in); err != nil {
		return launch.Application{}, err
	}
	a := application(in)
	a.Source = "kratos"
	if strings.Trim(a.UserID, "0-") == "" { // an identity that is not stored yet has the nil UUID
		a.UserID = ""
	}
	if id := r.Header.Get("Ory-Webhook-Trigger-Id"); id != "" {
		a.Event = "kratos:" + id // stable over retries
	}
	return a, nil
}

type signupEvent struct {
	Type string                 `json:"type"`
	Data api.EligibilityRequest `json:"data"`
}

// webhookAnswer is the generic webhook's answer to signup.before.
type webhookAnswer struct {
	Allowed     bool             `json:"allowed"`
	Reservation *api.Reservation `json:"reservation,omitempty"`
	Code        api.Code         `json:"code,omitempty"`
	Message     string           `json:"message,omitempty"`
	Retryable   bool             `json:"retryable,omitempty"`
	Details     any              `json:"details,omitempty"`
}

func (s *Server) webhook(w http.ResponseWriter, r *http.Request) {
	body, ok := s.signed(w, r, s.d.Hooks.Webhook)
	if !ok {
		return
	}
	var e signupEvent
	if err := hookJSON(body, &e); err != nil {
		s.fail(w, r, err)
		return
	}
	a := application(e.Data)
	a.Source, a.Event = "webhook", "webhook:"+r.Header.Get(standardwebhooks.HeaderWebhookID)
	var err error
	switch e.Type {
	case "signup.before":
		s.webhookBefore(w, r, a)
		return
	case "signup.after":
		err = s.hookSettle(r, s.d.Signups.ConfirmSubject, a)
	case "signup.failed":
		err = s.hookSettle(r, s.d.Signups.ReleaseSubject, a)
	default:
		err = fault.Invalid("httpapi.webhook", fault.Field{Field: "type", Problem: "unknown", Actual: bounded(e.Type), Allowed: []string{"signup.before", "signup.after", "signup.failed"}},
			"type must be signup.before, signup.after or signup.failed")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) webhookBefore(w http.ResponseWriter, r *http.Request, a launch.Application) {
	res, err := s.hookReserve(r, a)
	if err != nil {
		p := s.hookProblem(w, r, language(r), err)
		writeJSON(w, http.StatusOK, "application/json", webhookAnswer{Code: p.Code, Message: p.Message, Retryable: p.Retryable, Details: p.Details})
		return
	}
	writeJSON(w, http.StatusOK, "application/json", webhookAnswer{Allowed: true, Reservation: new(reservationOut(res))})
}
