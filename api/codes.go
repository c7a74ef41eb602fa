// Package api holds what a client of Gantry reads and writes on the wire:
// request and answer types, the error catalogue with its localised messages,
// and how to retry each error. It imports the standard library only.
package api

// Code names an error. The list is closed; GET /v1/errors serves it.
type Code string

// The error codes.
const (
	CodeRateLimited          Code = "RATE_LIMITED"
	CodeLaunchModeRestricted Code = "LAUNCH_MODE_RESTRICTED"
	CodeCountryNotAllowed    Code = "COUNTRY_NOT_ALLOWED"
	CodeInviteCodeRequired   Code = "INVITE_CODE_REQUIRED"
	CodeInviteCodeInvalid    Code = "INVITE_CODE_INVALID"
	CodeInviteCodeDepleted   Code = "INVITE_CODE_DEPLETED"
	CodeDailyLimitReached    Code = "DAILY_LIMIT_REACHED"
	CodeFileTooLarge         Code = "FILE_TOO_LARGE"
	CodeMIMETypeNotAllowed   Code = "MIME_TYPE_NOT_ALLOWED"
	CodeContentMismatch      Code = "CONTENT_MISMATCH"
	CodeFilenameNotAllowed   Code = "FILENAME_NOT_ALLOWED"
	CodeFileCorrupt          Code = "FILE_CORRUPT"
	CodeImageTooLarge        Code = "IMAGE_TOO_LARGE"
	CodeMalwareFound         Code = "MALWARE_FOUND"
	CodeSystemMaintenance    Code = "SYSTEM_MAINTENANCE"
	CodeServiceDegraded      Code = "SERVICE_DEGRADED"
	CodeUnauthenticated      Code = "UNAUTHENTICATED"
	CodePermissionDenied     Code = "PERMISSION_DENIED"
	CodeNotFound             Code = "NOT_FOUND"
	CodeInvalidArgument      Code = "INVALID_ARGUMENT"
	CodeInternal             Code = "INTERNAL"
	CodeConflict             Code = "CONFLICT"
	CodeIdempotencyMismatch  Code = "IDEMPOTENCY_MISMATCH"
)

// Retry says how a client may repeat a request that failed.
type Retry string

// The retry strategies. RetryAfter: once RetryAfterSeconds have passed, plus
// jitter. RetryBackoff: exponentially, from RetryAfterSeconds.
const (
	RetryNone    Retry = "none"
	RetryAfter   Retry = "after"
	RetryBackoff Retry = "backoff"
)

// ErrorInfo is one row of the catalogue.
type ErrorInfo struct {
	Code           Code   `json:"code" doc:"The error's name; switch on it"`
	Title          string `json:"title" doc:"What it means, in English, for developers"`
	HTTPStatus     int    `json:"httpStatus" doc:"Status of the REST answer"`
	CallableStatus string `json:"callableStatus" doc:"error.status of the callable answer; its HTTP status follows from it"`
	Retryable      bool   `json:"retryable" doc:"Whether repeating the same request can succeed"`
	Retry          Retry  `json:"retry" enum:"none,after,backoff" doc:"How to repeat it"`
	// RetryAfterSeconds is where a backoff starts; 0 where each answer brings
	// its own.
	RetryAfterSeconds int64  `json:"retryAfterSeconds" doc:"Where a backoff starts, in seconds; 0 where each answer brings its own"`
	Message           string `json:"message" doc:"Text for the user, in the language asked for"`
}

// catalogue is the table of errors, without messages. It is never written.
var catalogue = [...]ErrorInfo{
	{CodeRateLimited, "Too many requests", 429, "RESOURCE_EXHAUSTED", true, RetryAfter, 0, ""},
	{CodeLaunchModeRestricted, "The launch mode admits the allowlist only", 403, "PERMISSION_DENIED", false, RetryNone, 0, ""},
	{CodeCountryNotAllowed, "The country is not open", 403, "PERMISSION_DENIED", false, RetryNone, 0, ""},
	{CodeInviteCodeRequired, "An invite code is required", 403, "FAILED_PRECONDITION", false, RetryNone, 0, ""},
	{CodeInviteCodeInvalid, "The invite code is not valid", 403, "FAILED_PRECONDITION", false, RetryNone, 0, ""},
	{CodeInviteCodeDepleted, "The invite code is used up", 403, "FAILED_PRECONDITION", false, RetryNone, 0, ""},
	{CodeDailyLimitReached, "The day's signups are taken", 403, "FAILED_PRECONDITION", false, RetryNone, 0, ""},
	{CodeFileTooLarge, "The file is larger than its class allows", 413, "INVALID_ARGUMENT", false, RetryNone, 0, ""},
	{CodeMIMETypeNotAllowed, "The file type is not allowed", 415, "INVALID_ARGUMENT", false, RetryNone, 0, ""},
	{CodeContentMismatch, "The content is not of the declared type", 422, "INVALID_ARGUMENT", false, RetryNone, 0, ""},
	{CodeFilenameNotAllowed, "The file name is not allowed", 422, "INVALID_ARGUMENT", false, RetryNone, 0, ""},
	{CodeFileCorrupt, "The file is damaged", 422, "INVALID_ARGUMENT", false, RetryNone, 0, ""},
	{CodeImageTooLarge, "The image has too many pixels or frames", 422, "INVALID_ARGUMENT", false, RetryNone, 0, ""},
	{CodeMalwareFound, "The file holds malware", 422, "INVALID_ARGUMENT", false, RetryNone, 0, ""},
	{CodeSystemMaintenance, "The system is in maintenance", 503, "UNAVAILABLE", true, RetryBackoff, 30, ""},
	{CodeServiceDegraded, "A part that this request needs is not available", 503, "UNAVAILABLE", true, RetryBackoff, 30, ""},
	{CodeUnauthenticated, "The credential is missing or not valid", 401, "UNAUTHENTICATED", false, RetryNone, 0, ""},
	{CodePermissionDenied, "The credential's role may not do this", 403, "PERMISSION_DENIED", false, RetryNone, 0, ""},
	{CodeNotFound, "There is no such thing", 404, "NOT_FOUND", false, RetryNone, 0, ""},
	{CodeInvalidArgument, "The request is not valid", 400, "INVALID_ARGUMENT", false, RetryNone, 0, ""},
	{CodeInternal, "Something failed inside Gantry", 500, "INTERNAL", false, RetryNone, 0, ""},
	{CodeConflict, "The state changed meanwhile, or the same request is in progress", 409, "ABORTED", false, RetryNone, 0, ""},
	{CodeIdempotencyMismatch, "The Idempotency-Key was used with another request", 422, "INVALID_ARGUMENT", false, RetryNone, 0, ""},
}

// Catalogue returns every error, with messages in English.
func Catalogue() []ErrorInfo {
	rows := make([]ErrorInfo, len(catalogue))
	for i, row := range catalogue {
		row.Message = Message(row.Code, "en")
		rows[i] = row
	}
	return rows
}

// Lookup returns the catalogue's row of a code, without its message.
func Lookup(c Code) (ErrorInfo, bool) {
	for _, row := range &catalogue {
		if row.Code == c {
			return row, true
		}
	}
	return ErrorInfo{}, false
}

// CallableHTTPStatus is the HTTP status that the Firebase callable protocol
// ties to an error.status word.
func CallableHTTPStatus(status string) int {
	switch status {
	case "INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE":
		return 400
	case "UNAUTHENTICATED":
		return 401
	case "PERMISSION_DENIED":
		return 403
	case "NOT_FOUND":
		return 404
	case "ALREADY_EXISTS", "ABORTED":
		return 409
	case "RESOURCE_EXHAUSTED":
		return 429
	case "UNAVAILABLE":
		return 503
	case "DEADLINE_EXCEEDED":
		return 504
	}
	return 500
}
