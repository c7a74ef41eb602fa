package api

import "time"

// The health words.
const (
	HealthHealthy       = "HEALTHY"
	HealthDegraded      = "DEGRADED"       // it works, but is slow, unstable, or partly down
	HealthDown          = "DOWN"           // it does not work
	HealthNotConfigured = "NOT_CONFIGURED" // nobody said how to measure it
	HealthUnknown       = "UNKNOWN"        // not measured yet, or not lately
)

// HealthReport says how every component is, by what was measured.
type HealthReport struct {
	Status     string            `json:"status" enum:"HEALTHY,DEGRADED,DOWN,NOT_CONFIGURED,UNKNOWN" doc:"The word for all of them, and for Gantry itself"`
	Components []HealthComponent `json:"components" doc:"Parents before children, then the default slots that no component fills"`
	At         time.Time         `json:"at" doc:"When the report was made; each component says when it was measured"`
	Fresh      bool              `json:"fresh" doc:"Measured for this report, without thresholds"`
	TimedOut   []string          `json:"timedOut,omitempty" doc:"Components that did not answer in time"`
}

// HealthComponent is one component of a report, or a slot that none fills.
type HealthComponent struct {
	Component        string         `json:"component"`
	Slot             string         `json:"slot,omitempty" doc:"Which of the default slots it fills"`
	Kind             string         `json:"kind,omitempty" doc:"How it is measured"`
	Critical         bool           `json:"critical" doc:"The app is DOWN when it is"`
	Status           string         `json:"status" enum:"HEALTHY,DEGRADED,DOWN,NOT_CONFIGURED,UNKNOWN"`
	Since            *time.Time     `json:"since,omitempty" doc:"Of the status"`
	Message          string         `json:"message" doc:"What the last measurement saw"`
	ResponseTimeMS   *int64         `json:"responseTimeMs,omitempty" doc:"Of the last measurement, in milliseconds; absent if there was none"`
	Details          map[string]any `json:"details,omitempty"`
	MeasuredAt       *time.Time     `json:"measuredAt,omitempty"`
	DependsOn        []string       `json:"dependsOn,omitempty"`
	SuppressedBy     []string       `json:"suppressedBy,omitempty" doc:"Parents that explain what is wrong: they alert, this one does not"`
	MaintenanceUntil *time.Time     `json:"maintenanceUntil,omitempty" doc:"It alerts nobody until then"`
	Nodes            []HealthNode   `json:"nodes,omitempty" doc:"Of a component that each node measures for itself"`
}

// HealthNode is a component as one node sees it.
type HealthNode struct {
	Node       string    `json:"node"`
	Status     string    `json:"status"`
	Message    string    `json:"message"`
	MeasuredAt time.Time `json:"measuredAt"`
}

// UptimeDay counts the measurements of one component on one day (UTC).
type UptimeDay struct {
	Component   string   `json:"component"`
	Day         string   `json:"day" format:"date" doc:"2006-01-02, UTC"`
	Uptime      *float64 `json:"uptime,omitempty" doc:"Share of measurements at which it worked, 0 to 1; absent without a measurement outside of maintenance"`
	Up          int64    `json:"up" doc:"Measurements: it was HEALTHY"`
	Degraded    int64    `json:"degraded"`
	Down        int64    `json:"down"`
	Maintenance int64    `json:"maintenance" doc:"Measurements in a maintenance window; they count nowhere else"`
}

// HealthWindow is a time in which components alert nobody.
type HealthWindow struct {
	ID         string     `json:"id"`
	Components []string   `json:"components" doc:"Empty: all"`
	From       time.Time  `json:"from"`
	Until      time.Time  `json:"until" doc:"When it ends by itself"`
	Reason     string     `json:"reason"`
	By         string     `json:"by" doc:"The principal"`
	EndedAt    *time.Time `json:"endedAt,omitempty" doc:"Ended before its time"`
	EndedBy    string     `json:"endedBy,omitempty"`
}

// HealthWindowRequest begins a maintenance window; give one of until and for.
type HealthWindowRequest struct {
	Components []string   `json:"components,omitempty" maxItems:"1000" doc:"Which alert nobody. Empty: all"`
	From       *time.Time `json:"from,omitempty" doc:"When it begins, at most 90 days ahead. Absent: now"`
	Until      *time.Time `json:"until,omitempty" doc:"When it ends, at most 7 days after its begin"`
	For        string     `json:"for,omitempty" maxLength:"32" doc:"How long it lasts, instead of until" example:"30m"`
	Reason     string     `json:"reason" maxLength:"2000" doc:"Why, in 10 to 500 characters; kept in the audit log" example:"Database upgrade"`
}

// Diagnostics are counts of the host, and the state of the node that answers.
type Diagnostics struct {
	Counts            map[string]map[string]*int64 `json:"counts" doc:"By group and name; null: not declared, or it could not be counted"`
	Failed            map[string]string            `json:"failed,omitempty" doc:"Why a count is null although it is declared, by group.name"`
	At                time.Time                    `json:"at" doc:"When they were counted"`
	Version           string                       `json:"version"`
	GoVersion         string                       `json:"goVersion"`
	Node              string                       `json:"node" doc:"Names the node for as long as it runs"`
	StartedAt         time.Time                    `json:"startedAt"`
	Goroutines        int                          `json:"goroutines"`
	Store             string                       `json:"store" enum:"up,down" doc:"Whether Gantry's own store answers"`
	BackgroundFailing int32                        `json:"backgroundFailing" doc:"Background works whose last turn failed; the log says which"`
	ProbesStarted     int64                        `json:"probesStarted" doc:"By this node, ever"`
	ProbesGivenUp     int64                        `json:"probesGivenUp" doc:"Of those, that did not return after their time"`
	ProbesStuck       int64                        `json:"probesStuck" doc:"Of those, that have not returned yet"`
}

// The kinds of heartbeats.
const (
	HeartbeatStart   = "start"
	HeartbeatSuccess = "success"
	HeartbeatFail    = "fail"
)

// Heartbeat is a report of a background job. One that repeats kind and runId
// of a recent one changes nothing.
type Heartbeat struct {
	Kind       string `json:"kind" enum:"start,success,fail" example:"success"`
	RunID      string `json:"runId,omitempty" maxLength:"128" doc:"Joins the start and the end of one run"`
	ExitCode   *int   `json:"exitCode,omitempty" doc:"Of a success or a fail"`
	DurationMS int64  `json:"durationMs,omitempty" minimum:"0" maximum:"2678400000" doc:"How long the run took, in milliseconds. Absent: since its start, if that was reported"`
}

// Job is a background job at a moment. What never happened is absent.
type Job struct {
	Name           string     `json:"jobName"`
	Status         string     `json:"status" enum:"WAITING,RUNNING,SUCCESS,FAILURE,OVERDUE,OVERRUN" doc:"WAITING: it has never run, and need not have. OVERDUE: a run did not begin in time. OVERRUN: a run does not end in time"`
	LastRunAt      *time.Time `json:"lastRunAt,omitempty"`
	LastRunStatus  string     `json:"lastRunStatus,omitempty" enum:"SUCCESS,FAILURE" doc:"Absent before the first end of a run"`
	LastEndedAt    *time.Time `json:"lastEndedAt,omitempty"`
	LastSuccessAt  *time.Time `json:"lastSuccessAt,omitempty"`
	LastDurationMS *int64     `json:"lastDurationMs,omitempty"`
	ExitCode       *int       `json:"exitCode,omitempty"`
	NextRun        *time.Time `json:"nextScheduledRun,omitempty" doc:"When the next run is expected; in the past if it is late"`
	OverdueFrom    *time.Time `json:"overdueFrom,omitempty" doc:"nextScheduledRun and the grace"`
	RunningSince   *time.Time `json:"runningSince,omitempty"`
}

// FreshnessSource is something that must not be old, at a moment.
type FreshnessSource struct {
	Name          string     `json:"name"`
	Freshness     string     `json:"freshness" enum:"FRESH,STALE,UNKNOWN" doc:"UNKNOWN: it could not be read, or not lately"`
	UpdatedAt     *time.Time `json:"updatedAt,omitempty" doc:"The time to which it is up to date"`
	CheckedAt     *time.Time `json:"checkedAt,omitempty"`
	MaxAgeSeconds int64      `json:"maxAgeSeconds"`
	Message       string     `json:"message,omitempty"`
}

// SignalsRequest tells what Gantry cannot see itself.
type SignalsRequest struct {
	Signals []Signal `json:"signals" minItems:"1" maxItems:"100"`
}

// Signal is that something happened to a part of the host.
type Signal struct {
	Type   string `json:"type" enum:"requests,errors,payment_failed,query_error,security_event" doc:"errors are those of the requests" example:"errors"`
	Object string `json:"object,omitempty" maxLength:"64" doc:"The part, such as api or stripe; never a person or an error text. Empty: host" example:"api"`
	Count  int64  `json:"count" minimum:"1" maximum:"1000000000" doc:"How often since the last report" example:"12"`
}

// RateLimitStatus is what the limiter did of late.
type RateLimitStatus struct {
	ActiveWindows       int64         `json:"activeWindows" doc:"Counters that this node holds"`
	RecentViolations24h int64         `json:"recentViolations24h" doc:"Requests refused in 24 hours, on all nodes"`
	TopViolatedActions  []ActionCount `json:"topViolatedActions" doc:"Of the windows with a refusal in that time"`
}

// ActionCount is how often an action was refused.
type ActionCount struct {
	Action string `json:"action"`
	Count  int64  `json:"count"`
}

// PublicHealth is what anyone may know: GET /healthz, as
// draft-inadarei-api-health-check-06 writes it.
type PublicHealth struct {
	Status  string `json:"status" enum:"pass,warn,fail" doc:"warn: DEGRADED; fail: DOWN, and the HTTP status is 503"`
	Health  string `json:"health" enum:"HEALTHY,DEGRADED,DOWN"`
	Version string `json:"version"`
	// Checks are the published components, by name; there is one entry for each.
	Checks map[string][]PublicCheck `json:"checks,omitempty"`
}

// PublicCheck is a published component.
type PublicCheck struct {
	ComponentType string     `json:"componentType" enum:"component"`
	Status        string     `json:"status" enum:"pass,warn,fail" doc:"warn: also while it is not known"`
	Health        string     `json:"health" enum:"HEALTHY,DEGRADED,DOWN,UNKNOWN"`
	Time          *time.Time `json:"time,omitempty" doc:"When it was measured"`
}

// PublicStatus is an event of GET /status/events.
type PublicStatus struct {
	Health      string               `json:"health" enum:"HEALTHY,DEGRADED,DOWN"`
	Components  []PublicComponent    `json:"components"`
	Maintenance []PublicHealthWindow `json:"maintenance"`
	At          time.Time            `json:"at"`
}

// PublicComponent is a published component of a status page.
type PublicComponent struct {
	Name   string `json:"name"`
	Health string `json:"health" enum:"HEALTHY,DEGRADED,DOWN,UNKNOWN"`
}

// PublicHealthWindow is a running maintenance of what is published.
type PublicHealthWindow struct {
	Components []string  `json:"components" doc:"Empty: all"`
	Until      time.Time `json:"until"`
}
