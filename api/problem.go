package api

import "time"

// TypeQuotaExceeded is the Type of a RATE_LIMITED problem
// (draft-ietf-httpapi-ratelimit-headers).
const TypeQuotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// Problem is an error answer: an RFC 9457 problem document with Gantry's
// members. On a callable the same members stand in error.details.
type Problem struct {
	Type     string `json:"type" doc:"A URI for the kind of problem, or about:blank"`
	Title    string `json:"title" doc:"The kind of problem, in English"`
	Status   int    `json:"status" doc:"The HTTP status"`
	Detail   string `json:"detail,omitempty" doc:"What is wrong here and what to do next, for developers, in English"`
	Instance string `json:"instance,omitempty" doc:"The path that was asked"`

	Code              Code   `json:"code" doc:"The error's name in the catalogue"`
	Message           string `json:"message" doc:"Text for the user, in the language asked for"`
	Retryable         bool   `json:"retryable" doc:"Whether repeating the same request can succeed"`
	RetryAfterSeconds int64  `json:"retryAfterSeconds" doc:"Wait at least this long before repeating; seconds, rounded up; 0 if there is no repeating"`
	Retry             Retry  `json:"retry" enum:"none,after,backoff" doc:"How to repeat it"`
	RequestID         string `json:"requestId,omitempty" doc:"Ties the answer to Gantry's logs"`
	Details           any    `json:"details,omitempty" doc:"Facts, by code: the limit and the actual value"`
	Docs              string `json:"docs,omitempty" doc:"Where the code is explained"`

	// ViolatedPolicies is set on RATE_LIMITED
	// (draft-ietf-httpapi-ratelimit-headers).
	ViolatedPolicies []string `json:"violated-policies,omitempty" doc:"The policies that refused, for RATE_LIMITED"`

	// Language is the language of Message; it travels as Content-Language.
	Language string `json:"-"`
	// CallableStatus is the status word on a callable where old clients know
	// another one than the catalogue's; "" elsewhere.
	CallableStatus string `json:"-"`
}

// CallableError is an error answer of the Firebase callable protocol.
type CallableError struct {
	Error CallableBody `json:"error"`
}

// CallableBody is what the SDKs read: Status becomes the error's code.
type CallableBody struct {
	Status  string          `json:"status"`
	Message string          `json:"message"`
	Details CallableDetails `json:"details"`
}

// CallableDetails are the members of Problem that a callable client reads.
// No SDK reads Retry-After, so the wait stands here.
type CallableDetails struct {
	Code              Code   `json:"code"`
	Message           string `json:"message"`
	Retryable         bool   `json:"retryable"`
	RetryAfterSeconds int64  `json:"retryAfterSeconds"`
	Retry             Retry  `json:"retry"`
	RequestID         string `json:"requestId,omitempty"`
	Details           any    `json:"details,omitempty"`
	Detail            string `json:"detail,omitempty"`
	Docs              string `json:"docs,omitempty"`
}

// Callable renders the problem for the callable protocol, with its HTTP
// status.
func (p *Problem) Callable() (CallableError, int) {
	status := "INTERNAL"
	if info, ok := Lookup(p.Code); ok {
		status = info.CallableStatus
	}
	if p.CallableStatus != "" {
		status = p.CallableStatus
	}
	return CallableError{CallableBody{Status: status, Message: p.Message, Details: CallableDetails{
		Code: p.Code, Message: p.Message, Retryable: p.Retryable, RetryAfterSeconds: p.RetryAfterSeconds, Retry: p.Retry,
		RequestID: p.RequestID, Details: p.Details, Detail: p.Detail, Docs: p.Docs,
	}}}, CallableHTTPStatus(status)
}

// RateLimitedDetails are the Details of RATE_LIMITED.
type RateLimitedDetails struct {
	Limit         int64     `json:"limit" doc:"Units that pass in one window"`
	Actual        int64     `json:"actual" doc:"Units that would have been used with this request"`
	Remaining     int64     `json:"remaining" doc:"Units left now; 0 unless the request cost more than one"`
	ResetAt       time.Time `json:"resetAt" doc:"When the same request passes; RFC 3339, to the microsecond"`
	RetryAfter    int64     `json:"retryAfter" doc:"Seconds until then, rounded up"`
	Policy        string    `json:"policy" doc:"The policy's action"`
	Scope         string    `json:"scope" doc:"What was counted: user, ip, device, or several joined by +"`
	Mode          string    `json:"mode" doc:"How the refusal came about, see CheckResult"`
	WindowSeconds int64     `json:"windowSeconds" doc:"Length of the window"`
	// PolicyName is the name in the RateLimit fields.
	PolicyName string `json:"policyName" doc:"The name in the RateLimit-Policy header field"`
}

// InvalidDetails are the Details of INVALID_ARGUMENT, NOT_FOUND and
// CONFLICT, as far as they are known.
type InvalidDetails struct {
	Field   string   `json:"field,omitempty" doc:"Which input"`
	Problem string   `json:"problem,omitempty" doc:"What is wrong with it"`
	Limit   any      `json:"limit,omitempty" doc:"The bound"`
	Actual  any      `json:"actual,omitempty" doc:"What was sent"`
	Allowed []string `json:"allowed,omitempty" doc:"What would be accepted"`
}
