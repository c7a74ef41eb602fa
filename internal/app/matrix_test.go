package app_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/httpapi"
)

// issuer is an OpenID Connect issuer with one key.
type issuer struct {
	url   string
	key   *rsa.PrivateKey
	asked atomic.Int64 // for its keys
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}}
	i := &issuer{key: key}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		_ = json.NewEncoder(w).Encode(set)
	}))
	t.Cleanup(s.Close)
	i.url = s.URL
	return i
}

// token signs claims; forge replaces the signing key.
func (i *issuer) token(t *testing.T, audience, role string, expires time.Time, forge *rsa.PrivateKey) string {
	t.Helper()
	return i.sign(t, map[string]any{"iss": i.url, "aud": audience, "sub": "alice", "role": role,
		"iat": time.Now().Add(-time.Minute).Unix(), "exp": expires.Unix()}, forge)
}

// sign makes a token of any claims; forge replaces the signing key.
func (i *issuer) sign(t *testing.T, claims map[string]any, forge *rsa.PrivateKey) string {
	t.Helper()
	key := i.key
	if forge != nil {
		key = forge
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// started is the program on a free port, with every kind of credential.
type started struct {
	url    string
	creds  map[string]string
	issuer *issuer
	ahead  *atomic.Int64 // of its clock, in nanoseconds; over 15 minutes at once outdates its keys
	app    *app.App
}

func (s started) advance(d time.Duration) { s.ahead.Add(int64(d)) }

func start(t *testing.T, change func(*config.Config)) started {
	t.Helper()
	return startWith(t, change, func(*app.App) {})
}

// startWith changes the program, too, before it starts.
func startWith(t *testing.T, change func(*config.Config), before func(*app.App)) started {
	t.Helper()
	iss := newIssuer(t)
	cfg := config.Default()
	cfg.DataDir, cfg.Server.Listen = t.TempDir(), "127.0.0.1:0"
	cfg.Access.Issuers = []config.Issuer{{Issuer: iss.url, Audience: "gantry", JWKSURL: iss.url, RoleClaim: "role",
		Roles: map[string]string{"app": "app", "moderator": "moderator", "admin": "admin"}}}
	if change != nil {
		change(&cfg)
	}
	ahead := new(atomic.Int64)
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: now,
		Load: func() (config.Config, error) { return cfg, nil }})
	if err != nil {
		t.Fatal(err)
	}
	before(a)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil { // the test's context is over
			t.Error(err)
		}
	})
	forge, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	in := time.Now().Add(time.Hour)
	s := started{url: "http://" + a.Addr(), issuer: iss, ahead: ahead, app: a, creds: map[string]string{
		"none": "", "admin": a.BootstrapKey(),
		"token app": iss.token(t, "gantry", "app", in, nil), "token moderator": iss.token(t, "gantry", "moderator", in, nil),
		"token admin": iss.token(t, "gantry", "admin", in, nil), "forged token": iss.token(t, "gantry", "admin", in, forge),
		"token for another audience": iss.token(t, "other", "admin", in, nil), "expired token": iss.token(t, "gantry", "admin", time.Now().Add(-time.Hour), nil),
		"unknown key": "gk_0123456789_0123456789012345678901234567890123456789012", "nonsense": "nonsense",
	}}
	s.creds["app"], _ = s.key(t, `{"role":"app","label":"a"}`)
	s.creds["moderator"], _ = s.key(t, `{"role":"moderator","label":"m"}`)
	revoked, id := s.key(t, `{"role":"admin","label":"r","owner":"bob"}`)
	if status, body := s.do(t, "DELETE", "/v1/keys/"+id, s.creds["admin"], ""); status != http.StatusNoContent {
		t.Fatal(status, body)
	}
	s.creds["revoked key"] = revoked
	return s
}

// expired makes a key and moves the clock past its end: a key cannot be made
// expired.
func (s started) expired(t *testing.T) string {
	t.Helper()
	cred, _ := s.key(t, fmt.Sprintf(`{"role":"admin","label":"e","owner":"bob","expiresAt":%q}`, time.Now().Add(5*time.Minute).Format(time.RFC3339Nano)))
	if status, body := s.do(t, "GET", "/v1/keys", cred, ""); status != http.StatusOK {
		t.Fatalf("a key before its expiry: %d %s", status, body)
	}
	s.advance(10 * time.Minute)
	return cred
}

func (s started) key(t *testing.T, spec string) (secret, id string) {
	t.Helper()
	status, body := s.do(t, "POST", "/v1/keys", s.creds["admin"], spec)
	var made struct{ Secret, ID string }
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusCreated {
		t.Fatal(status, body, err)
	}
	return made.Secret, made.ID
}

// do sends a request; headers are further ones, in pairs.
func (s started) do(t *testing.T, method, path, cred, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if cred != "" {
		req.Header.Set("Authorization", "Bearer "+cred)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// ask sends a request to a route. Of a stream, which does not end, it reads
// no body.
func (s started) ask(t *testing.T, r httpapi.Route, path, cred string) (int, string) {
	t.Helper()
	if !r.Streams {
		return s.do(t, r.Method, path, cred, "{}")
	}
	req, err := http.NewRequestWithContext(t.Context(), r.Method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+cred)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, ""
}

func routes() []httpapi.Route {
	return httpapi.New(httpapi.Deps{Metrics: prometheus.NewRegistry()}).Routes()
}

// TestMatrix asks every route with every kind of credential: allowed exactly
// as the permission table says.
func TestMatrix(t *testing.T) {
	s := start(t, func(c *config.Config) { c.Access.AuthFailures.Limit = 1_000_000 })
	s.creds["expired key"] = s.expired(t)
	roles := map[string]access.Role{"app": access.App, "moderator": access.Moderator, "admin": access.Admin,
		"token app": access.App, "token moderator": access.Moderator, "token admin": access.Admin}
	path := strings.NewReplacer("{action}", "NO_SUCH", "{id}", "none", "{index}", "0", "{mode}", "CLOSED_BETA", "{name}", "x", "{job}", "none", "{path...}", "checkpoint", "{$}", "")
	asked := 0
	for _, r := range routes() {
		for name, cred := range s.creds {
			status, body := s.ask(t, r, path.Replace(r.Path), cred)
			asked++
			role, known := roles[name]
			want := "allowed"
			switch {
			case access.May(access.Public, r.Permission):
			case !known:
				want = "401"
			case !access.May(role, r.Permission):
				want = "403"
			}
			got := "allowed"
			if status == http.StatusUnauthorized || status == http.StatusForbidden {
				got = fmt.Sprint(status)
			}
			if got != want || status >= 500 {
				t.Errorf("%s %s with %s: %d, want %s\n%s", r.Method, r.Path, name, status, want, body)
			}
		}
	}
	if want := len(routes()) * len(s.creds); asked != want || asked < 400 {
		t.Errorf("asked %d times, want %d", asked, want)
	}
}

// TestPermissionsGolden is the table as the specification means it, written
// out: a route that changes hands must change here too.
func TestPermissionsGolden(t *testing.T) {
	want := map[string]string{
		"public": "statusPage statusEvents mediaTypes supabaseBefore supabaseAfter firebaseBeforeCreate firebaseBeforeSignIn webhook auditLog callableGetLaunchMode callablePreflight docs getLaunchMode getMaintenance healthCheckGet healthz listErrors livez ofrepEvents ofrepFlag ofrepFlags ofrepPreflight openapi readyz callableHealthCheck",
		"app, admin": "beginIdempotent callableCheckGlobalRateLimit callableCheckRateLimit checkRateLimit checkRateLimits completeIdempotent " +
			"sendHeartbeat sendSignals guardGet guardPost peekRateLimit refundRateLimit " +
			"tusAppend tusCreate tusCreate tusDelete tusOffset tusOptions callableValidateMedia callableVerifyUpload deleteUpload getUpload inspectMedia mediaContent presignUpload uploadMedia validateMedia verifyUpload kratosAfter kratosBefore callableEligibility claimInvite confirmSignup joinWaitlist releaseSignup reserveSignup signupEligibility",
		"moderator, admin": "callableSystemHealth getHealth getRateLimitStatus getUptime healthEvents listFreshness listHealthMaintenance listHeartbeats acknowledgeIncident getIncident listConditions listIncidentRules listIncidents listReceivers listSilences listRefusals getLaunchSettings listLaunchPhases listSignups signupCounts signupDrift getPolicy listOffenders listOverrides listPolicies listViolations metrics",
		"admin": "beginHealthMaintenance callableDiagnostics endHealthMaintenance getDiagnostics createSilence endSilence resolveIncident testAlerts createKey createOverride deleteOverride getConfig listAuditEntries listKeys proveAuditEntry putPolicy reloadConfig " +
			"resetPolicy revokeKey " +
			"addAllowlist approveLaunchOverride callableLaunchHistory callableSetLaunchMode createInvites endMaintenance inviteWaiting leaveWaitlist " +
			"listAllowlist listInvites listLaunchHistory listLaunchOverrides listWaitlist putLaunchPhase putLaunchSettings removeAllowlist " +
			"requestLaunchOverride revokeInvites setLaunchMode startMaintenance",
	}
	for group, names := range want {
		sorted := strings.Fields(names)
		slices.Sort(sorted)
		want[group] = strings.Join(sorted, " ")
	}
	got := map[string][]string{}
	for _, r := range routes() {
		var names []string
		for _, role := range access.Roles(r.Permission) {
			names = append(names, string(role))
		}
		group := strings.Join(names, ", ")
		if strings.HasPrefix(group, "public") {
			group = "public"
		}
		got[group] = append(got[group], r.Name)
	}
	joined := map[string]string{}
	for group, names := range got {
		slices.Sort(names)
		joined[group] = strings.Join(names, " ")
	}
	if d := cmp.Diff(want, joined); d != "" {
		t.Error(d)
	}
}
