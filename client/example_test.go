package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// A refusal is a verdict; an error is something to mend.
func ExampleClient_Check() {
	gantry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"code":"RATE_LIMITED","details":{"policy":"LOGIN","limit":10,"retryAfter":42,"mode":"enforced"}}`)
	}))
	defer gantry.Close()

	c, err := client.New(gantry.URL, client.WithKey("gk_example"), client.WithTimeout(5*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := c.Check(context.Background(), api.CheckRequest{Action: "LOGIN", User: "alice", IP: "203.0.113.9"})
	switch {
	case err != nil:
		fmt.Println(err)
	case !v.Allowed:
		fmt.Printf("refused: %d per window, again in %d s\n", v.Limit, v.RetryAfter)
	}
	// Output: refused: 10 per window, again in 42 s
}
