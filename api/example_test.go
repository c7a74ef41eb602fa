package api_test

import (
	"fmt"
	"time"

	"avalo.app/gantry/api"
)

// A request is repeated as its answer says, for as long as that can help.
func ExampleProblem_Wait() {
	answers := []*api.Problem{
		{Code: api.CodeServiceDegraded, Retry: api.RetryBackoff, RetryAfterSeconds: 30},
		{Code: api.CodeConflict, Retry: api.RetryNone},
	}
	for attempt, p := range answers {
		wait, ok := p.Wait(attempt + 1)
		fmt.Println(p.Code, ok, wait >= 30*time.Second)
	}
	// Output:
	// SERVICE_DEGRADED true true
	// CONFLICT false false
}

// The longest waits of a backoff from 30 seconds, without chance.
func ExampleRetry_Wait() {
	longest := func(max int64) int64 { return max }
	for attempt := range 5 {
		wait, _ := api.RetryBackoff.Wait(attempt+1, 30, longest)
		fmt.Println(wait)
	}
	// Output:
	// 1m0s
	// 1m30s
	// 2m30s
	// 4m30s
	// 5m0s
}

// A user reads why a request was refused in the language of the browser.
func ExampleMessage() {
	lang := api.MatchLanguage("de-AT, de;q=0.9, en;q=0.5")
	fmt.Println(api.Message(api.CodeInviteCodeRequired, lang))
	// Output: Für die Registrierung brauchst du einen Einladungscode.
}
