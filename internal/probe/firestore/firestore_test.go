package firestore_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe/firestore"
	"avalo.app/gantry/internal/probe/probetest"
)

// service is Firestore in memory, as far as it is measured. interop holds the
// same against an emulator.
type service struct {
	firestorepb.UnimplementedFirestoreServer
	token string // that calls must carry
	fail  error  // of every call

	mu   sync.Mutex
	docs map[string]*firestorepb.Document
}

func (s *service) call(ctx context.Context) error {
	m, _ := metadata.FromIncomingContext(ctx)
	if got := m.Get("authorization"); len(got) != 1 || got[0] != "Bearer "+s.token {
		return status.Error(codes.Unauthenticated, probetest.Secret)
	}
	return s.fail
}

// BatchGetDocuments implements the service.
func (s *service) BatchGetDocuments(r *firestorepb.BatchGetDocumentsRequest, out firestorepb.Firestore_BatchGetDocumentsServer) error {
	if err := s.call(out.Context()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range r.Documents {
		a := &firestorepb.BatchGetDocumentsResponse{Result: &firestorepb.BatchGetDocumentsResponse_Missing{Missing: name}}
		if d, ok := s.docs[name]; ok {
			a.Result = &firestorepb.BatchGetDocumentsResponse_Found{Found: d}
		}
		if err := out.Send(a); err != nil {
			return err
		}
	}
	return nil
}

// Commit implements the service.
func (s *service) Commit(ctx context.Context, r *firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) {
	if err := s.call(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range r.Writes {
		if d := w.GetUpdate(); d != nil {
			s.docs[d.Name] = d
		} else {
			delete(s.docs, w.GetDelete())
		}
	}
	return &firestorepb.CommitResponse{}, nil
}

const document = "probe/" + probetest.Secret

// start serves Firestore with one document until the test ends.
func start(t *testing.T, token string, o ...grpc.ServerOption) (*service, string) {
	t.Helper()
	s := &service{token: token, docs: map[string]*firestorepb.Document{"projects/p/databases/(default)/documents/" + document: {}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(o...)
	firestorepb.RegisterFirestoreServer(g, s)
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	return s, l.Addr().String()
}

func newProber(t *testing.T, cfg firestore.Config) health.Prober {
	t.Helper()
	p, err := firestore.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConformance(t *testing.T) {
	t.Run("document", func(t *testing.T) {
		_, addr := start(t, "owner")
		line := probetest.NewLine(t, "tcp", addr)
		probetest.Run(t, probetest.Kind{Dependency: line, Prober: newProber(t, firestore.Config{Project: "p", Document: document, Emulator: line.Addr()})})
	})
	t.Run("canary", func(t *testing.T) {
		s, addr := start(t, "owner")
		line := probetest.NewLine(t, "tcp", addr)
		t.Setenv("FIRESTORE_EMULATOR_HOST", line.Addr())
		probetest.Run(t, probetest.Kind{Dependency: line, Prober: newProber(t, firestore.Config{Project: "p", Canary: document + "/c/d"})})
		if len(s.docs) != 1 {
			t.Errorf("%d documents: the canary stays", len(s.docs))
		}
	})
}

// google is a Firestore with TLS and a token endpoint; it returns a service
// account's key.
func google(t *testing.T) (endpoint, tokens *probetest.Line, roots *x509.CertPool, account []byte) {
	t.Helper()
	issuer := httptest.NewTLSServer(nil)
	t.Cleanup(issuer.Close)
	roots = x509.NewCertPool()
	roots.AddCert(issuer.Certificate())
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("assertion") == "" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, probetest.Secret)
	}))
	t.Cleanup(plain.Close)
	tokens = probetest.NewLine(t, "tcp", plain.Listener.Addr().String())
	_, addr := start(t, probetest.Secret, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: issuer.TLS.Certificates, MinVersion: tls.VersionTLS12})))
	endpoint = probetest.NewLine(t, "tcp", addr)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err = json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": probetest.Secret, "client_email": probetest.Secret + "@p.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "http://" + tokens.Addr() + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return endpoint, tokens, roots, account
}

// With a service account, over TLS: the service may fail, and so may the
// endpoint that gives out tokens.
func TestServiceAccount(t *testing.T) {
	endpoint, tokens, roots, account := google(t)
	cfg := firestore.Config{Project: "p", Document: document, Credentials: account, Endpoint: endpoint.Addr(), Roots: roots}
	t.Run("service", func(t *testing.T) {
		probetest.Run(t, probetest.Kind{Dependency: endpoint, Prober: newProber(t, cfg)})
	})
	t.Run("tokens", func(t *testing.T) {
		// A token is kept: a prober that has one needs the endpoint no more.
		p := newProber(t, cfg)
		tokens.Set(t, probetest.Hanging)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := p.Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hanging: %v", err)
		}
		for _, m := range []probetest.Mode{probetest.Refusing, probetest.Garbage} {
			tokens.Set(t, m)
			if _, err := p.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "no token could be had") || strings.Contains(err.Error(), probetest.Secret) {
				t.Errorf("%s: %v", m, err)
			}
		}
		tokens.Set(t, probetest.Healthy)
		if _, err := p.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		tokens.Set(t, probetest.Refusing)
		if _, err := p.Probe(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusals(t *testing.T) {
	s, addr := start(t, "owner")
	for _, tt := range []struct {
		document string
		fail     error
		want     string
	}{
		{"probe/other", nil, "there is no such document or database (gRPC NotFound)"},
		{document, status.Error(codes.PermissionDenied, probetest.Secret), "roles/datastore.viewer"},
		{document, status.Error(codes.ResourceExhausted, probetest.Secret), "a quota is used up"},
		{document, status.Error(codes.Unavailable, probetest.Secret), "not available (gRPC Unavailable)"},
		{document, status.Error(codes.Code(99), probetest.Secret), "answers with an error (gRPC Code(99))"},
	} {
		s.fail = tt.fail
		_, err := newProber(t, firestore.Config{Project: "p", Document: tt.document, Emulator: addr}).Probe(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%v: %v, want %s", tt.fail, err, tt.want)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []firestore.Config{
		{Document: "a/b"}, {Project: "p"}, {Project: "p", Document: "a/b", Canary: "a/b"}, {Project: "p", Document: probetest.Secret},
		{Project: "p", Canary: "a//" + probetest.Secret + "/b"}, {Project: "p/" + probetest.Secret, Document: "a/b"},
		{Project: "p", Document: "a/b", Endpoint: probetest.Secret}, {Project: "p", Document: "a/b", Credentials: []byte(probetest.Secret)},
		{Project: "p", Document: "a/b", Credentials: []byte(`{"type":"external_account","private_key":"` + probetest.Secret + `"}`)},
	} {
		if _, err := firestore.New(cfg); err == nil || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
