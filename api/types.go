package api

import (
	"encoding/json"
	"time"
)

// CheckRequest asks whether a subject may do an action now. Each rule of the
// action's policy applies whose dimensions are all given; at least one must.
type CheckRequest struct {
	Action string `json:"action" minLength:"1" maxLength:"64" doc:"The policy" example:"MESSAGE_SEND"`
	User   string `json:"user,omitempty" maxLength:"256" doc:"The host's id of the user" example:"alice"`
	IP     string `json:"ip,omitempty" maxLength:"64" doc:"The client's address; IPv6 counts by /64" example:"203.0.113.9"`
	Device string `json:"device,omitempty" maxLength:"256" doc:"The client's device id" example:"d-81f3"`
	Cost   int64  `json:"cost,omitempty" minimum:"0" doc:"Units to charge; 0 means 1. At most the limit"`
}

// Modes of a CheckResult.
const (
	ModeEnforced  = "enforced"  // decided by the counters
	ModeShadow    = "shadow"    // counted and recorded, never refused
	ModeDegraded  = "degraded"  // the counters, or Gantry itself, did not answer: decided without them
	ModeExempt    = "exempt"    // an override exempts the subject
	ModeBlocked   = "blocked"   // a penalty or an override refuses the subject
	ModeUnlimited = "unlimited" // the policy is disabled
)

// CheckResult is the verdict: the tightest of the rules that applied.
type CheckResult struct {
	Allowed    bool      `json:"allowed" doc:"Whether the request may go on"`
	Limit      int64     `json:"limit" doc:"Units that pass in one window"`
	Remaining  int64     `json:"remaining" doc:"Units left after this request"`
	ResetAt    time.Time `json:"resetAt" doc:"Allowed: when the window ends. Refused: when the same request passes. RFC 3339, to the microsecond"`
	RetryAfter int64     `json:"retryAfter" doc:"Seconds until the same request passes, rounded up; 0 when allowed"`
	Policy     string    `json:"policy" doc:"The policy's action"`
	Scope      string    `json:"scope" doc:"What was counted: user, ip, device, or several joined by +"`
	Mode       string    `json:"mode" enum:"enforced,shadow,degraded,exempt,blocked,unlimited" doc:"How the verdict came about"`
}

// BatchRequest decides several requests, each on its own, in order.
type BatchRequest struct {
	Checks []CheckRequest `json:"checks" minItems:"1" maxItems:"100" doc:"Decided in order, each on its own"`
}

// BatchResult answers a BatchRequest, in its order.
type BatchResult struct {
	Results []CheckResult `json:"results" doc:"In the order of the checks"`
}

// RefundRequest gives back what a check charged.
type RefundRequest struct {
	Action string `json:"action" minLength:"1" maxLength:"64" doc:"The policy"`
	User   string `json:"user,omitempty" maxLength:"256" doc:"As in the check"`
	IP     string `json:"ip,omitempty" maxLength:"64" doc:"As in the check"`
	Device string `json:"device,omitempty" maxLength:"256" doc:"As in the check"`
	Cost   int64  `json:"cost,omitempty" minimum:"0" doc:"Units to give back; 0 means 1"`
}

// PolicySpec is what a policy says.
type PolicySpec struct {
	Algorithm string `json:"algorithm,omitempty" enum:"sliding_window,window_credit,gcra" doc:"How to count. Default: window_credit for a rule with a burst, else sliding_window"`
	Window    string `json:"window" doc:"Length of the window: 90s, 5m, 24h" example:"1h"`
	Rules     []Rule `json:"rules" minItems:"1" maxItems:"16" doc:"Decided together: all pass, or none is charged"`
	OnFailure string `json:"onFailure,omitempty" enum:"open,closed" doc:"Answer while the counters fail. Default: open"`
	Shadow    bool   `json:"shadow,omitempty" doc:"Count and record, never refuse"`
	Disabled  bool   `json:"disabled,omitempty" doc:"Allow everything, count nothing"`
	Block     *Block `json:"block,omitempty" doc:"A penalty for those who keep trying"`
}

// Policy is a policy in force.
type Policy struct {
	Action string `json:"action" doc:"What it limits"`
	PolicySpec
	Source  string `json:"source" enum:"default,config,api" doc:"Where it comes from"`
	Version int64  `json:"version" doc:"Rises with every change by the API; 0 if there was none"`
}

// Rule is one limit of a policy.
type Rule struct {
	Scope string `json:"scope" enum:"user,ip,device,user+ip,user+device,ip+device,user+ip+device" doc:"What is counted"`
	Limit int64  `json:"limit" minimum:"1" maximum:"1000000000" doc:"Units in one window"`
	Burst int64  `json:"burst,omitempty" minimum:"0" maximum:"1000000000" doc:"window_credit: the earned ceiling. gcra: the bucket"`
}

// Block is a penalty: After refusals in one window, everything is refused
// for For.
type Block struct {
	After int    `json:"after" minimum:"1" maximum:"1000000" doc:"Refusals in one window that bring the penalty"`
	For   string `json:"for" doc:"How long everything is refused then: 15m" example:"15m"`
}

// OverrideSpec changes how policies treat one subject until a date. Exactly
// one of Multiplier, Exempt and BlockUntil is set.
type OverrideSpec struct {
	Dimension  string     `json:"dimension" enum:"user,ip,device" doc:"What the subject is"`
	Subject    string     `json:"subject" minLength:"1" maxLength:"256" doc:"The user id, address or device id"`
	Action     string     `json:"action,omitempty" maxLength:"64" doc:"A policy, or * for all (the default)"`
	Multiplier float64    `json:"multiplier,omitempty" minimum:"0" maximum:"1000" doc:"Scales limits and bursts; to a thousandth"`
	Exempt     bool       `json:"exempt,omitempty" doc:"Allow without counting"`
	BlockUntil *time.Time `json:"blockUntil,omitempty" doc:"Refuse everything until then"`
	ExpiresAt  time.Time  `json:"expiresAt" doc:"When the override ends, at most 366 days ahead"`
	Reason     string     `json:"reason" minLength:"3" maxLength:"500" doc:"Why, for the audit log"`
}

// Override is an override in force.
type Override struct {
	ID         string     `json:"id" doc:"Its id"`
	Dimension  string     `json:"dimension" enum:"user,ip,device" doc:"What the subject is"`
	Subject    string     `json:"subject" doc:"The user id; of an address or device its keyed hash"`
	Action     string     `json:"action" doc:"A policy, or * for all"`
	Multiplier float64    `json:"multiplier,omitempty" doc:"Scales limits and bursts"`
	Exempt     bool       `json:"exempt,omitempty" doc:"Allowed without counting"`
	BlockUntil *time.Time `json:"blockUntil,omitempty" doc:"Refused until then"`
	ExpiresAt  time.Time  `json:"expiresAt" doc:"When it ends"`
	Reason     string     `json:"reason" doc:"Why"`
	CreatedBy  string     `json:"createdBy" doc:"Who set it"`
	CreatedAt  time.Time  `json:"createdAt" doc:"When"`
}

// Violation counts the refusals of one rule for one subject in one window.
type Violation struct {
	Action      string    `json:"action" doc:"The policy"`
	Scope       string    `json:"scope" doc:"What was counted"`
	User        string    `json:"user,omitempty" doc:"The user id"`
	IPHash      string    `json:"ipHash,omitempty" doc:"Keyed hash of the address"`
	DeviceHash  string    `json:"deviceHash,omitempty" doc:"Keyed hash of the device"`
	WindowStart time.Time `json:"windowStart" doc:"The window, aligned to multiples of its length"`
	Window      string    `json:"window" doc:"Its length"`
	Limit       int64     `json:"limit" doc:"The limit that refused"`
	Count       int64     `json:"count" doc:"Refusals in it"`
	FirstAt     time.Time `json:"firstAt" doc:"The first of them"`
	LastAt      time.Time `json:"lastAt" doc:"The last of them"`
	Shadow      bool      `json:"shadow" doc:"The policy was in shadow: nothing was refused"`
}

// Offender is a subject with its refusals over a period. A refusal under a
// scope with the address is the address's, not the user's.
type Offender struct {
	Dimension string    `json:"dimension" enum:"user,ip,device" doc:"What the subject is"`
	Subject   string    `json:"subject" doc:"The user id, or a keyed hash"`
	Count     int64     `json:"count" doc:"Refusals in the period"`
	Actions   []string  `json:"actions" doc:"Of which policies"`
	LastAt    time.Time `json:"lastAt" doc:"The last of them"`
}

// Key is an API key without its secret.
type Key struct {
	ID         string     `json:"id" doc:"Its id"`
	Role       string     `json:"role" enum:"app,moderator,admin" doc:"What it may do"`
	Label      string     `json:"label" doc:"What it is for"`
	Owner      string     `json:"owner" doc:"Who answers for it"`
	CreatedBy  string     `json:"createdBy" doc:"Who made it"`
	CreatedAt  time.Time  `json:"createdAt" doc:"When"`
	ExpiresAt  *time.Time `json:"expiresAt,omitempty" doc:"When it ends; absent: never"`
	LastUsedAt *time.Time `json:"lastUsedAt,omitempty" doc:"Its last use, about a minute behind; absent: never"`
	RevokedAt  *time.Time `json:"revokedAt,omitempty" doc:"When it was revoked"`
	Bootstrap  bool       `json:"bootstrap" doc:"The key of the first start, to be replaced"`
}

// CreateKeyRequest makes an API key.
type CreateKeyRequest struct {
	Role      string     `json:"role" enum:"app,moderator,admin" doc:"What it may do"`
	Label     string     `json:"label" minLength:"1" maxLength:"100" doc:"What it is for"`
	Owner     string     `json:"owner,omitempty" maxLength:"100" doc:"Who answers for it; required for admin"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"When it ends; absent: never"`
}

// CreatedKey is a new key with its secret.
type CreatedKey struct {
	Key
	Secret string `json:"secret,omitempty" doc:"The credential, shown this once; a replayed answer lacks it"`
}

// IdempotencyBeginRequest claims a key for an operation of the host's.
type IdempotencyBeginRequest struct {
	Key          string `json:"key" minLength:"1" maxLength:"255" doc:"Names the operation; printable ASCII"`
	Fingerprint  string `json:"fingerprint,omitempty" maxLength:"256" doc:"Of the operation's input: another one under the same key is refused"`
	LeaseSeconds int64  `json:"leaseSeconds,omitempty" minimum:"0" maximum:"3600" doc:"How long the operation may take; 0 means 60"`
}

// States of an IdempotencyBegin.
const (
	IdempotencyNew        = "new"         // do it, then complete
	IdempotencyReplay     = "replay"      // it was done; the answer is here
	IdempotencyInProgress = "in_progress" // somebody does it now
	IdempotencyInDoubt    = "in_doubt"    // who did it went away: find out, then complete or release
)

// IdempotencyBegin answers a begin.
type IdempotencyBegin struct {
	State          string          `json:"state" enum:"new,replay,in_progress,in_doubt" doc:"What to do"`
	Token          string          `json:"token,omitempty" doc:"Fencing token for complete; an older one is refused"`
	Answer         json.RawMessage `json:"answer,omitempty" doc:"The stored answer of a replay"`
	LeaseExpiresAt *time.Time      `json:"leaseExpiresAt,omitempty" doc:"When the claim becomes in_doubt"`
}

// IdempotencyCompleteRequest ends a claim.
type IdempotencyCompleteRequest struct {
	Key     string          `json:"key" minLength:"1" maxLength:"255" doc:"As in begin"`
	Token   string          `json:"token" minLength:"1" maxLength:"64" doc:"From begin"`
	Answer  json.RawMessage `json:"answer,omitempty" doc:"JSON to replay, at most 64 KiB"`
	Release bool            `json:"release,omitempty" doc:"The effect did not happen: the key is new again"`
}

// AuditEntry is an entry of the audit log with its private part.
type AuditEntry struct {
	Index  int64           `json:"index" doc:"Its place in the log"`
	Kind   string          `json:"kind" doc:"What happened"`
	At     time.Time       `json:"at" doc:"When"`
	Actor  string          `json:"actor" doc:"Who did it"`
	Object string          `json:"object" doc:"To what"`
	Reason string          `json:"reason,omitempty" doc:"Why"`
	Before json.RawMessage `json:"before,omitempty" doc:"The state before"`
	After  json.RawMessage `json:"after,omitempty" doc:"The state after"`
}

// AuditProof proves that an entry is in the log: hash the leaf (RFC 6962),
// climb the path, compare with the signed checkpoint's root. Bytes are
// base64.
type AuditProof struct {
	Entry      AuditEntry `json:"entry" doc:"The entry"`
	Leaf       []byte     `json:"leaf" doc:"The leaf as it is hashed"`
	Salt       []byte     `json:"salt" doc:"Opens the leaf's commitment, with private"`
	Private    []byte     `json:"private" doc:"What the leaf commits to"`
	Size       int64      `json:"size" doc:"Entries in the tree that the path is about"`
	Path       [][]byte   `json:"path" doc:"Hashes from the leaf to the root"`
	Checkpoint string     `json:"checkpoint" doc:"The signed checkpoint of that tree"`
}
