// Package fault is the one error type that features return and edges map.
//
// A feature says what went wrong by a [Code] and gives the facts a caller
// needs to act; the transports decide how that looks (HTTP status, callable
// status, exit code). An error without a code is INTERNAL.
package fault

import (
	"errors"
	"fmt"
)

// Code is one kind of failure. The list is closed: package api holds, for
// each code, the wire rendering, and a test keeps both lists equal.
type Code string

// The codes of system.md section 3.
const (
	RateLimited          Code = "RATE_LIMITED"
	LaunchModeRestricted Code = "LAUNCH_MODE_RESTRICTED"
	CountryNotAllowed    Code = "COUNTRY_NOT_ALLOWED"
	InviteCodeRequired   Code = "INVITE_CODE_REQUIRED"
	InviteCodeInvalid    Code = "INVITE_CODE_INVALID"
	InviteCodeDepleted   Code = "INVITE_CODE_DEPLETED"
	DailyLimitReached    Code = "DAILY_LIMIT_REACHED"
	FileTooLarge         Code = "FILE_TOO_LARGE"
	MIMETypeNotAllowed   Code = "MIME_TYPE_NOT_ALLOWED"
	ContentMismatch      Code = "CONTENT_MISMATCH"
	FilenameNotAllowed   Code = "FILENAME_NOT_ALLOWED"
	FileCorrupt          Code = "FILE_CORRUPT"
	ImageTooLarge        Code = "IMAGE_TOO_LARGE"
	MalwareFound         Code = "MALWARE_FOUND"
	SystemMaintenance    Code = "SYSTEM_MAINTENANCE"
	ServiceDegraded      Code = "SERVICE_DEGRADED"
	Unauthenticated      Code = "UNAUTHENTICATED"
	PermissionDenied     Code = "PERMISSION_DENIED"
	NotFound             Code = "NOT_FOUND"
	InvalidArgument      Code = "INVALID_ARGUMENT"
	Internal             Code = "INTERNAL"
	Conflict             Code = "CONFLICT"
	IdempotencyMismatch  Code = "IDEMPOTENCY_MISMATCH"
)

// Codes returns every code, in the order of the catalogue.
func Codes() []Code {
	return []Code{
		RateLimited, LaunchModeRestricted, CountryNotAllowed,
		InviteCodeRequired, InviteCodeInvalid, InviteCodeDepleted,
		DailyLimitReached, FileTooLarge, MIMETypeNotAllowed,
		ContentMismatch, FilenameNotAllowed, FileCorrupt, ImageTooLarge,
		MalwareFound, SystemMaintenance, ServiceDegraded, Unauthenticated,
		PermissionDenied, NotFound, InvalidArgument, Internal, Conflict,
		IdempotencyMismatch,
	}
}

// Error is a failure that an edge can render.
type Error struct {
	Code   Code
	Op     string // the operation, for logs: "ratelimit.Check"
	Msg    string // what is wrong and what to do next; shown to the caller
	Detail any    // typed facts for the caller (JSON object), or nil
	Err    error  // the cause, for logs only; never shown to a caller
}

// Field is the Detail of an INVALID_ARGUMENT: which input, what bound it
// broke, and what it was. It is also used by NOT_FOUND and CONFLICT.
type Field struct {
	Field   string   `json:"field,omitempty"`
	Problem string   `json:"problem,omitempty"`
	Limit   any      `json:"limit,omitempty"`
	Actual  any      `json:"actual,omitempty"`
	Allowed []string `json:"allowed,omitempty"`
}

// Error returns the operation, code, message and cause, for logs.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Msg != "" {
		s += ": " + e.Msg
	}
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: c}) match by code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Op == "" && t.Msg == "" && t.Err == nil
}

// New returns an error of the code with a message for the caller.
func New(code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Msg: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of the code with a hidden cause.
func Wrap(code Code, op string, err error) *Error {
	return &Error{Code: code, Op: op, Err: err}
}

// Invalid returns an INVALID_ARGUMENT about one input.
func Invalid(op string, f Field, format string, args ...any) *Error {
	return &Error{Code: InvalidArgument, Op: op, Msg: fmt.Sprintf(format, args...), Detail: f}
}

// CodeOf returns the code of the first *Error in err's chain, or Internal.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
