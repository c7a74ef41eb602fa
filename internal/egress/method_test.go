package egress_test

import (
	"net/http"
	"strings"
	"testing"

	"avalo.app/gantry/internal/egress"
)

// TestPostIsNotTurnedIntoGet: an answer that sends a POST to another page, such
// as a login, is the answer; the page's 200 would say that it was accepted.
func TestPostIsNotTurnedIntoGet(t *testing.T) {
	u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hook" {
			http.Redirect(w, r, "/login", http.StatusFound)
		}
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.String()+"/hook", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := egress.Exchange(egress.Client(egress.Options{}, u), r)
	if err != nil || reply.Status != http.StatusFound {
		t.Errorf("%+v, %v; want the 302", reply, err)
	}
}
