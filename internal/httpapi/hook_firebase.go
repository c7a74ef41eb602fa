package httpapi

import (
	"io"
	"net/http"
	"strings"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

// firebaseClaims are what a blocking function's token says.
type firebaseClaims map[string]any

func (c firebaseClaims) text(path ...string) string {
	var v any = map[string]any(c)
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[name]
	}
	s, _ := v.(string)
	return s
}

// event checks that the token is of a blocking function's event of the kind,
// "beforeCreate" or "beforeSignIn". Firebase's libraries show the kind as
// providers/cloud.auth/eventTypes/user.KIND:METHOD, which is understood, too.
// An ID token, which every user has, is of no event.
func (c firebaseClaims) event(kind string) error {
	got, _, _ := strings.Cut(c.text("event_type"), ":")
	if c.text("event_id") == "" || strings.TrimPrefix(got, "providers/cloud.auth/eventTypes/user.") != kind {
		return fault.New(fault.Unauthenticated, "httpapi.hook", "the token is not of a %s event: only the blocking function of that name may call this path", kind)
	}
	return nil
}

// firebaseToken reads and verifies the body's token of an event of the kind,
// or answers why not.
func (s *Server) firebaseToken(w http.ResponseWriter, r *http.Request, verify access.VerifyFunc, kind string) (firebaseClaims, bool) {
	if verify == nil {
		s.firebaseFail(w, r, "en", fault.New(fault.NotFound, "httpapi.hook", "this hook is not configured; see launch.hooks in docs/CONFIG.md"))
		return nil, false
	}
	var in struct {
		JWT string `json:"jwt"`
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		s.firebaseFail(w, r, "en", bodyError(err))
		return nil, false
	}
	if err := decodeEnvelope(raw, &in); err != nil {
		s.firebaseFail(w, r, "en", err)
		return nil, false
	}
	c, err := verify(r.Context(), in.JWT)
	if err == nil {
		err = firebaseClaims(c.Raw).event(kind)
	}
	if err != nil {
		if fault.CodeOf(err) == fault.Unauthenticated {
			err = s.authFailed(r, "hook", err)
		}
		s.firebaseFail(w, r, "en", err)
		return nil, false
	}
	return c.Raw, true
}

// application maps the token. Nothing in it states a country or an invite
// code: the country is that of the address, and the code is claimed for the
// e-mail address beforehand.
func (c firebaseClaims) application() launch.Application {
	uid := c.text("user_record", "uid")
	if uid == "" {
		uid = c.text("sub")
	}
	return launch.Application{UserID: uid, Email: c.text("user_record", "email"), IP: c.text("ip_address"), Source: "firebase"}
}

// firebaseBeforeCreate reserves. {} lets Firebase make the account.
func (s *Server) firebaseBeforeCreate(w http.ResponseWriter, r *http.Request) {
	c, ok := s.firebaseToken(w, r, s.d.Hooks.FirebaseCreate, "beforeCreate")
	if !ok {
		return
	}
	a := c.application()
	a.Event = "firebase:" + c.text("event_id")
	if _, err := s.hookReserve(r, a); err != nil {
		s.firebaseFail(w, r, api.MatchLanguage(c.text("locale")), err)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", struct{}{})
}

// firebaseBeforeSignIn confirms what beforeCreate reserved: the first sign-in
// follows the creation. It refuses nobody, and knows nothing of accounts from
// before Gantry.
func (s *Server) firebaseBeforeSignIn(w http.ResponseWriter, r *http.Request) {
	c, ok := s.firebaseToken(w, r, s.d.Hooks.FirebaseSignIn, "beforeSignIn")
	if !ok {
		return
	}
	if err := s.hookSettle(r, s.d.Signups.ConfirmKnown, c.application()); err != nil {
		s.hookProblem(w, r, "en", err) // logs it; the reservation expires unless a later sign-in confirms it
	}
	writeJSON(w, http.StatusOK, "application/json", struct{}{})
}

// firebaseFail refuses in the callable protocol's form, which blocking
// functions share.
func (s *Server) firebaseFail(w http.ResponseWriter, r *http.Request, lang string, err error) {
	c := s.caller(w, r, access.Principal{})
	c.language = lang
	s.writeProblem(w, true, s.problem(c, err))
}
