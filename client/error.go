package client

import (
	"encoding/json"
	"fmt"
	"net/http"

	"avalo.app/gantry/api"
)

// Error is an error answer of Gantry's. It is ErrUnavailable when its status
// is 5xx.
type Error struct {
	// Problem is the answer. Its Details are a json.RawMessage, or nil;
	// Details decodes them.
	Problem api.Problem
}

// Error returns the code and what is wrong.
func (e *Error) Error() string {
	text := e.Problem.Detail
	if text == "" {
		text = e.Problem.Message
	}
	return fmt.Sprintf("gantry: %s: %s", e.Problem.Code, text)
}

// Unwrap is ErrUnavailable for what is Gantry's trouble, not the caller's.
func (e *Error) Unwrap() error {
	if e.Problem.Status >= http.StatusInternalServerError {
		return ErrUnavailable
	}
	return nil
}

// Details decodes the problem's details into v, such as
// *api.InvalidDetails; v stays as it is when there are none.
func (e *Error) Details(v any) error {
	raw, _ := e.Problem.Details.(json.RawMessage)
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("client: details of %s: %w", e.Problem.Code, err)
	}
	return nil
}

// problemOf reads an error answer. One that is no problem document comes
// from something else: from a proxy that cannot reach Gantry or sheds load,
// which is ErrUnavailable, or from a wrong address, which nobody would
// notice if it were.
func problemOf(k call, res *http.Response, body []byte) error {
	var p struct {
		api.Problem
		Details json.RawMessage `json:"details"`
	}
	if err := json.Unmarshal(body, &p); err == nil && p.Code != "" {
		p.Problem.Status = res.StatusCode
		if len(p.Details) > 0 {
			p.Problem.Details = p.Details
		}
		return &Error{Problem: p.Problem}
	}
	switch s := res.StatusCode; {
	case s >= 500, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout, s == http.StatusTooEarly:
		return fmt.Errorf("%w: %s %s: HTTP %d without a problem document", ErrUnavailable, k.method, k.path, s)
	}
	return fmt.Errorf("client: %s %s: HTTP %d without a problem document is not Gantry's answer: check the base URL and the proxies before it",
		k.method, k.path, res.StatusCode)
}
