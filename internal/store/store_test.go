package store_test

import (
	"testing"

	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

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
