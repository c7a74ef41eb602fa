package incident

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// DeliveryError is why a receiver did not accept a message.
type DeliveryError struct {
	Permanent  bool          // the same message will be refused again
	RetryAfter time.Duration // how long the receiver asks to wait, or 0
	Text       string        // for people; without a secret
}

// Error returns the text.
func (e *DeliveryError) Error() string {
	if e.Permanent {
		return "refused: " + e.Text
	}
	return "not delivered, will be tried again: " + e.Text
}

// maxRetryAfter bounds what a receiver may ask for: a page that waits longer
// helps nobody.
const maxRetryAfter = 15 * time.Minute

// StatusError judges an HTTP status: nil for 2xx; 408, 429 and 5xx are worth
// another attempt, after the Retry-After header if there is one (seconds or
// an HTTP date); anything else is permanent. body is the begin of the answer.
func StatusError(status int, retryAfter, body string, now time.Time) error {
	if status >= 200 && status < 300 {
		return nil
	}
	e := &DeliveryError{Permanent: true, Text: StatusText(status, body)}
	if status == 408 || status == 425 || status == 429 || status >= 500 {
		e.Permanent = false
		e.RetryAfter = parseRetryAfter(retryAfter, now)
	}
	return e
}

// StatusText is a status and the begin of a body, for people.
func StatusText(status int, body string) string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", status, clean(body, 200)))
}

func parseRetryAfter(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return min(time.Duration(min(max(n, 0), 1<<20))*time.Second, maxRetryAfter)
	}
	if t, err := time.Parse(time.RFC1123, s); err == nil {
		return min(max(t.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// asDeliveryError returns err as what it says about another attempt.
func asDeliveryError(err error) *DeliveryError {
	var d *DeliveryError
	if errors.As(err, &d) {
		return d
	}
	return &DeliveryError{Text: Clean(err.Error())}
}

// Bounds of the wait between attempts.
const (
	firstWait   = 2 * time.Second
	longestWait = 5 * time.Minute
	refusedWait = time.Hour // between attempts at a resolve that was refused
)

// backoff is how long to wait after the attempt: at least what the receiver
// asks, else between half and all of a wait that doubles.
func backoff(attempt int, asked time.Duration) time.Duration {
	wait := min(firstWait<<min(max(attempt-1, 0), 10), longestWait)
	wait = wait/2 + rand.N(wait/2+1)
	return max(wait, asked)
}
