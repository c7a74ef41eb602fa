package guard_test

import (
	"fmt"
	"net/http"
	"net/netip"

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
