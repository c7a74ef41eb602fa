package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// TestErrorsHoldNoPassword: whatever is wrong with a PostgreSQL URL, the error
// says nothing of its password.
func TestErrorsHoldNoPassword(t *testing.T) {
	const password = "hunter2"
	host := strings.TrimPrefix(storetest.Postgres(t), "postgres://gantry@")
	for name, url := range map[string]string{
		"malformed host":     "postgres://gantry:" + password + "@[::1/gantry",
		"malformed escape":   "postgres://gantry:%zz" + password + "@127.0.0.1/gantry",
		"unescaped at":       "postgres://gantry:" + password + "@" + password + "@127.0.0.1/gantry",
		"unescaped both":     "postgres://gantry:1@2," + password + "@127.0.0.1/gantry",
		"unescaped slash":    "postgres://gantry:1/" + password + "@127.0.0.1/gantry",
		"port of letters":    "postgres://gantry:" + password + "@127.0.0.1:port/gantry",
		"port too large":     "postgres://gantry:" + password + "@127.0.0.1:99999/gantry",
		"password as a port": "postgres://gantry:" + password + "/gantry",
		"nobody listens":     "postgres://gantry:" + password + "@127.0.0.1:1/gantry",
		"unknown option":     "postgres://gantry:" + password + "@" + host + "?no_such_option=1",
		"bad option":         "postgres://gantry:" + password + "@" + host + "?sslmode=" + password,
		"password option":    "postgres://gantry@" + host + "?connect_timeout=soon&password=" + password,
		"no such database":   "postgres://gantry:" + password + "@" + host + "_none",
	} {
		for verb, open := range map[string]func(context.Context, store.Options) (*store.DB, error){"open": store.Open, "inspect": store.Inspect} {
			_, err := open(t.Context(), store.Options{URL: url})
			if err == nil {
				t.Errorf("%s: %s succeeds", name, verb)
			} else if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, password) {
				t.Errorf("%s: %s says %s", name, verb, text)
			}
		}
	}
}

// TestReadOnlyServer: a write that reaches a standby fails as the store's being
// away does, not as an error of ours.
func TestReadOnlyServer(t *testing.T) {
	url := storetest.Postgres(t)
	db, err := store.Open(t.Context(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = store.Inspect(t.Context(), store.Options{URL: url + "?default_transaction_read_only=on"}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.PinFact(t.Context(), "k", "v"); fault.CodeOf(err) != fault.ServiceDegraded {
		t.Error(err)
	}
}

func TestOpenTwice(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		for range 2 {
			db, err := store.Open(t.Context(), store.Options{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
