package guard_test

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"os"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
	"avalo.app/gantry/guard"
)

// A host limits an endpoint and makes its effect happen once per key. Here a
// fake stands in for Gantry; a host leaves WithHTTPClient out.
func Example() {
	c, err := client.New("http://127.0.0.1:8640", client.WithHTTPClient(&http.Client{Transport: &gantry{}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	g := guard.New(c)
	ip := guard.RemoteIP(netip.MustParsePrefix("10.0.0.0/8")) // the load balancer
	userOf := func(r *http.Request) string { return r.Header.Get("X-User") }
	limit := g.Limit("PAYOUT", func(r *http.Request) guard.Subject {
		return guard.Subject{User: userOf(r), IP: ip(r)}
	})
	payouts := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Println("money moves")
		w.WriteHeader(http.StatusCreated)
	})
	mux := http.NewServeMux()
	mux.Handle("POST /payouts", limit(g.Idempotent(userOf)(payouts)))

	for range 6 {
		w := serve(mux, "POST", "/payouts", `{"eur":5}`, "X-User", "alice", "Idempotency-Key", "8e03978e")
		fmt.Printf("%d replayed=%q retry=%q\n", w.Code, w.Header().Get("Idempotency-Replayed"), w.Header().Get("Retry-After"))
	}
	// Output:
	// money moves
	// 201 replayed="" retry=""
	// 201 replayed="true" retry=""
	// 201 replayed="true" retry=""
	// 201 replayed="true" retry=""
	// 201 replayed="true" retry=""
	// 429 replayed="" retry="42"
}

// A host makes accounts for as many as the day admits. Here a fake with one
// slot stands in for Gantry; a host leaves WithHTTPClient out.
func ExampleGuard_Gate() {
	c, err := client.New("http://127.0.0.1:8640", client.WithHTTPClient(&http.Client{Transport: &signups{limit: 1}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	g := guard.New(c)
	ip := guard.RemoteIP(netip.MustParsePrefix("10.0.0.0/8")) // the load balancer
	gate := g.Gate(func(r *http.Request) api.EligibilityRequest {
		return api.EligibilityRequest{Country: r.FormValue("country"), InviteCode: r.FormValue("invite"), UserID: r.FormValue("user"), IP: ip(r)}
	}, guard.WithReservation())
	accounts := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("password") == "" {
			http.Error(w, "choose a password", http.StatusUnprocessableEntity)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	mux := http.NewServeMux()
	mux.Handle("POST /accounts", gate(accounts))

	for _, form := range []string{"country=US&user=bob", "country=PL&user=eve", "country=PL&user=ada&password=x", "country=PL&user=max&password=x"} {
		w := serve(mux, "POST", "/accounts", form, "Content-Type", "application/x-www-form-urlencoded")
		var p api.Problem
		_ = json.Unmarshal(w.Body.Bytes(), &p)
		fmt.Printf("%d %q\n", w.Code, p.Code)
	}
	// Output:
	// 403 "COUNTRY_NOT_ALLOWED"
	// 422 ""
	// 201 ""
	// 403 "DAILY_LIMIT_REACHED"
}

// The handler runs only for a file that passed. While Gantry is away files go
// to quarantine: keep what was said with them, and show them when their
// upload is verified.
func ExampleGuard_Upload() {
	c, err := client.New("http://127.0.0.1:8640", client.WithKey(os.Getenv("GANTRY_KEY")))
	if err != nil {
		log.Fatal(err)
	}
	userOf := func(r *http.Request) string { return r.Header.Get("X-Authenticated-User") } // your authentication
	photos := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, _ := guard.Uploaded(r.Context())
		if u.State == "quarantined" {
			w.WriteHeader(http.StatusAccepted) // ask client.Upload(u.ID) later
			return
		}
		fmt.Fprintf(w, "%s is stored as %s, with the caption %q", u.Filename, u.Path, r.FormValue("caption"))
	})
	upload := guard.New(c).Upload(userOf, guard.WithQuarantine(guard.QuarantineDir("/var/lib/gantry/media")))
	http.Handle("POST /photos", upload(photos))
}
