package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"reflect"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
)

// callable binds a function of the Firebase callable protocol: the body is
// exactly {"data": …}, the answer {"result": …}, errors {"error": …}.
func callable[I any](h func(*Server, context.Context, I) (any, error)) func(*Server, Route) {
	return raw(func(s *Server, w http.ResponseWriter, r *http.Request) {
		var in I
		if err := decodeCallable(r.Body, &in); err != nil {
			s.fail(w, r, err)
			return
		}
		out, err := h(s, r.Context(), in)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		writeJSON(w, http.StatusOK, "application/json", map[string]any{"result": out})
	})
}

// decodeCallable reads {"data": …} into in. Null data is the zero value;
// fields that in does not have are ignored, since old clients may send them.
func decodeCallable(body io.Reader, in any) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return bodyError(err)
	}
	return decodeEnvelope(raw, in)
}

func decodeEnvelope(raw []byte, in any) error {
	var envelope map[string]json.RawMessage
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return badJSON(err, "body")
	}
	data, ok := envelope["data"]
	if !ok || len(envelope) != 1 {
		return fault.Invalid("httpapi.callable", fault.Field{Field: "data", Problem: "the body must be exactly {\"data\": …}"},
			`a callable's body is exactly {"data": …}`)
	}
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nil
	}
	if err := json.Unmarshal(data, in); err != nil {
		return badJSON(err, "data")
	}
	return nil
}

// badJSON says where a body stops being what was expected, without its text.
// whole names what was decoded.
func badJSON(err error, whole string) error {
	f := fault.Field{Problem: "not valid JSON"}
	var typ *json.UnmarshalTypeError
	var syn *json.SyntaxError
	msg := "the body is not valid JSON"
	switch {
	case errors.As(err, &typ):
		want, have := jsonName(typ.Type.Kind()), typ.Value
		f = fault.Field{Field: cmp.Or(typ.Field, whole), Problem: "wrong type", Actual: have, Limit: want}
		msg = f.Field + " has the wrong type: it is a JSON " + have + " and must be a JSON " + want
	case errors.As(err, &syn):
		f.Actual = syn.Offset
		msg = "the body is not valid JSON; details.actual is the byte where it breaks"
	}
	return &fault.Error{Code: fault.InvalidArgument, Op: "httpapi", Msg: msg, Detail: f}
}

// jsonName is what JSON calls what a Go kind is read from.
func jsonName(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "string"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Slice:
		return "array"
	}
	return "object"
}

type globalLimitData struct {
	Identifier string `json:"identifier"`
	Action     string `json:"action"`
}

type userLimitData struct {
	UserID string `json:"userId"`
	Action string `json:"action"`
}

// callableVerdict is the old clients' answer: resetAt in Unix milliseconds,
// retryAfter in seconds rounded up.
type callableVerdict struct {
	Allowed    bool  `json:"allowed"`
	Remaining  int64 `json:"remaining"`
	ResetAt    int64 `json:"resetAt"`
	RetryAfter int64 `json:"retryAfter"`
}

func (s *Server) callCheckRateLimit(ctx context.Context, in userLimitData) (any, error) {
	return s.callLimit(ctx, in.Action, ratelimit.Subject{User: in.UserID})
}

// callCheckGlobalRateLimit takes an address or a device id, as the old
// function did.
func (s *Server) callCheckGlobalRateLimit(ctx context.Context, in globalLimitData) (any, error) {
	sub := ratelimit.Subject{Device: in.Identifier}
	if _, err := netip.ParseAddr(in.Identifier); err == nil {
		sub = ratelimit.Subject{IP: in.Identifier}
	}
	return s.callLimit(ctx, in.Action, sub)
}

func (s *Server) callLimit(ctx context.Context, action string, sub ratelimit.Subject) (any, error) {
	v, err := s.d.Limits.Check(ctx, ratelimit.Request{Action: action, Subject: sub})
	if err != nil {
		return nil, err
	}
	s.metrics.verdict(v)
	const ms = 1000
	return callableVerdict{Allowed: v.Allowed, Remaining: v.Remaining, ResetAt: (v.ResetAt + ms - 1) / ms, RetryAfter: v.RetryAfter()}, nil
}

// preflight answers a browser's OPTIONS for any callable.
func (s *Server) preflight(w http.ResponseWriter, _ *http.Request) {
	allowRequest(w, "authorization, content-type, firebase-instance-id-token, x-firebase-appcheck, x-request-id")
}
