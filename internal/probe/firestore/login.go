package firestore

import (
	"context"
	"net/http"
	"sync"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"

	"avalo.app/gantry/internal/probe"
)

// scope is what a token for Firestore must cover.
const scope = "https://www.googleapis.com/auth/datastore"

// login gives each call a token (credentials.PerRPCCredentials of grpc). A
// token is kept until it is near its end.
type login struct {
	account []byte // a service account; nil: what the environment has
	client  *http.Client
	calls   probe.Blocking // looking for credentials takes no context

	mu    sync.Mutex
	found *auth.Credentials
}

// GetRequestMetadata is grpc's name for what a call carries.
func (l *login) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	c, err := l.credentials(ctx)
	if err != nil {
		return nil, err
	}
	t, err := c.Token(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": t.Type + " " + t.Value}, nil
}

// RequireTransportSecurity keeps a token from a connection without TLS.
func (l *login) RequireTransportSecurity() bool { return true }

// credentials looks once; what was not found is looked for again.
func (l *login) credentials(ctx context.Context) (*auth.Credentials, error) {
	l.mu.Lock()
	found := l.found
	l.mu.Unlock()
	if found != nil {
		return found, nil
	}
	err := l.calls.Do(ctx, func(context.Context) error {
		c, err := l.find()
		if err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.found == nil {
			l.found = c
		}
		found = l.found
		return nil
	})
	return found, err
}

func (l *login) find() (*auth.Credentials, error) {
	o := &credentials.DetectOptions{Scopes: []string{scope}, Client: l.client, DisableAsyncRefresh: true}
	if l.account == nil {
		return credentials.DetectDefault(o)
	}
	return credentials.NewCredentialsFromJSON(credentials.ServiceAccount, l.account, o)
}

// owner is what an emulator takes for everyone's rights.
type owner struct{}

// GetRequestMetadata is grpc's name for what a call carries.
func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

// RequireTransportSecurity allows an emulator's connection without TLS.
func (owner) RequireTransportSecurity() bool { return false }

// failure keeps the last error of a dial, which grpc tells as text only.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
