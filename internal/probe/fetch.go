package probe

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"avalo.app/gantry/internal/egress"
)

// MaxBody is the most bytes that a probe reads of an answer.
const MaxBody = 1 << 20

// Client returns a client for the URLs named. It keeps no connection, and
// leaves the time to the context of each request.
func Client(o egress.Options, named ...*url.URL) *http.Client {
	o.OneShot, o.MaxBody = true, MaxBody
	c := egress.Client(o, named...)
	c.Timeout = 0
	return c
}

// Fetch sends a request and returns the answer's status and whole body. what
// is the step for the error's text.
func Fetch(ctx context.Context, c *http.Client, what string, r *http.Request) (status int, body []byte, err error) {
	resp, err := c.Do(r.WithContext(ctx))
	if err != nil {
		return 0, nil, Fail(ctx, what, err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, Fail(ctx, what, err)
	}
	return resp.StatusCode, body, nil
}

// FetchJSON fetches a JSON document into v. An answer other than 200 fails.
func FetchJSON(ctx context.Context, c *http.Client, what string, at *url.URL, v any) error {
	r, err := http.NewRequest(http.MethodGet, at.String(), nil)
	if err != nil {
		return Failf("%s: the address is no URL", what)
	}
	r.Header.Set("Accept", "application/json")
	status, body, err := Fetch(ctx, c, what, r)
	switch {
	case err != nil:
		return err
	case status != http.StatusOK:
		return Failf("%s: the server answers %d, want 200", what, status)
	case json.Unmarshal(body, v) != nil:
		return Failf("%s: the answer of %d bytes is not the JSON that is expected", what, len(body))
	}
	return nil
}
