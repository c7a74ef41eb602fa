package api

import "time"

// Incident is one cause from its first failure to the end of its last.
type Incident struct {
	ID             string           `json:"id" example:"inc-17"`
	Class          string           `json:"class" enum:"P0,P1,P2,P3" doc:"How urgent; rises while it is open, never falls"`
	State          string           `json:"state" enum:"open,acknowledged,resolved"`
	Group          string           `json:"group" doc:"What kind of cause: component, backup, …"`
	Object         string           `json:"object" doc:"What fails: a component, job, collection…"`
	Rules          []string         `json:"rules" doc:"That fail now; of a resolved one: that failed last"`
	Summary        string           `json:"summary" doc:"For people"`
	OpenedAt       time.Time        `json:"openedAt"`
	RaisedAt       time.Time        `json:"raisedAt" doc:"When it opened, reopened or rose in class: deadlines count from here"`
	DueAt          *time.Time       `json:"dueAt,omitempty" doc:"When it is sent first; absent once it was, or once it is resolved"`
	FirstSentAt    *time.Time       `json:"firstSentAt,omitempty" doc:"The first message since raisedAt: escalation counts from here"`
	AcknowledgedAt *time.Time       `json:"acknowledgedAt,omitempty"`
	AcknowledgedBy string           `json:"acknowledgedBy,omitempty" doc:"The principal"`
	ResolvedAt     *time.Time       `json:"resolvedAt,omitempty"`
	ResolvedBy     string           `json:"resolvedBy,omitempty" doc:"The principal, or system: its cause cleared"`
	Reopened       int              `json:"reopened" doc:"How often it failed again within an hour of its resolve"`
	Told           []IncidentNotice `json:"told" doc:"What each receiver was told last"`
}

// IncidentNotice is what a receiver was told last.
type IncidentNotice struct {
	Receiver string    `json:"receiver"`
	Action   string    `json:"action" enum:"trigger,update,repeat,acknowledge,resolve"`
	Class    string    `json:"class"`
	At       time.Time `json:"at" doc:"When it went into the outbox"`
}

// IncidentDetail is an incident with all that is known of it.
type IncidentDetail struct {
	Incident
	Escalation []EscalationStep   `json:"escalation" doc:"When the next levels are told unless somebody acknowledges"`
	Updates    []IncidentUpdate   `json:"updates" doc:"The timeline, oldest first"`
	Deliveries []IncidentDelivery `json:"deliveries" doc:"Every message, in the order of sending"`
}

// EscalationStep is a level that was not told yet.
type EscalationStep struct {
	Level int       `json:"level"`
	At    time.Time `json:"at"`
}

// IncidentUpdate is an entry of an incident's timeline.
type IncidentUpdate struct {
	N    int       `json:"n" doc:"From 1"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind" enum:"opened,reopened,rule,class,acknowledged,escalated,sent,resolved"`
	By   string    `json:"by" doc:"The principal, or system"`
	Text string    `json:"text"`
}

// IncidentDelivery is a message for one receiver, and what became of it.
type IncidentDelivery struct {
	ID        int64      `json:"id"`
	Receiver  string     `json:"receiver"`
	Action    string     `json:"action" enum:"trigger,update,repeat,acknowledge,resolve"`
	DedupKey  string     `json:"dedupKey" doc:"Joins the messages of one incident at the receiver"`
	State     string     `json:"state" enum:"pending,delivered,failed" doc:"failed: refused for good"`
	Attempts  int        `json:"attempts"`
	CreatedAt time.Time  `json:"createdAt"`
	NextAt    *time.Time `json:"nextAt,omitempty" doc:"The next attempt of a pending one"`
	DoneAt    *time.Time `json:"doneAt,omitempty"`
	Answer    string     `json:"answer" doc:"What the receiver said to the last attempt"`
}

// IncidentNoteRequest acknowledges or resolves an incident.
type IncidentNoteRequest struct {
	Note string `json:"note,omitempty" maxLength:"2000" doc:"For the timeline, at most 500 bytes" example:"restarting the pool"`
}

// Condition is a fact that fails right now, whether it is an incident or not.
type Condition struct {
	Rule     string    `json:"rule"`
	Object   string    `json:"object"`
	Class    string    `json:"class" enum:"P0,P1,P2,P3" doc:"Of the rule"`
	Reporter string    `json:"reporter,omitempty" doc:"The node, of a fact about a node; such a one lapses when its node is not heard of for 3 minutes"`
	Value    string    `json:"value" doc:"What was observed"`
	Since    time.Time `json:"since" doc:"Failing without a break"`
	SeenAt   time.Time `json:"seenAt" doc:"Stated last"`
	CountsAt time.Time `json:"countsAt" doc:"From when on it is an incident, if it still fails"`
}

// IncidentRule is a row of the rule table in force.
type IncidentRule struct {
	Name     string       `json:"name" example:"component_down"`
	Group    string       `json:"group" doc:"Rules of one group that fail for one object are one incident"`
	Class    string       `json:"class" enum:"P0,P1,P2,P3"`
	After    string       `json:"after" doc:"How long it must fail without a break before it counts" example:"5m0s"`
	Channels []string     `json:"channels" doc:"Who hears of it: pager, chat, email"`
	Local    bool         `json:"local" doc:"Whether each node speaks for itself"`
	Text     string       `json:"text" doc:"What is wrong"`
	Changed  bool         `json:"changed" doc:"Whether the configuration changes its class or channels"`
	Tells    []RuleTarget `json:"tells" doc:"The receivers that an incident of it reaches, and when; empty: nobody is told"`
	Fallback bool         `json:"fallback" doc:"No receiver of level 0 is in its channels: all receivers of level 0 are told instead"`
}

// RuleTarget is a receiver that an incident reaches.
type RuleTarget struct {
	Receiver string `json:"receiver"`
	Level    int    `json:"level" doc:"Above 0: only if nobody acknowledged in time"`
	Wait     string `json:"wait" doc:"How long after it counts, or \"next business morning\"" example:"10m0s"`
}

// IncidentRules are the rule table in force.
type IncidentRules struct {
	Rules     []IncidentRule `json:"rules"`
	Unreached []string       `json:"unreached" doc:"Rules that tell nobody"`
}

// AlertReceiver is a receiver and its outbox.
type AlertReceiver struct {
	Name          string     `json:"name"`
	Kind          string     `json:"kind" doc:"pagerduty, opsgenie, slack, alertmanager, email, webhook, ping; empty: messages wait for it, and the configuration no longer names it"`
	Channels      []string   `json:"channels"`
	Level         int        `json:"level"`
	Repeat        string     `json:"repeat,omitempty" doc:"How often it is told again what still fails"`
	Heartbeat     string     `json:"heartbeat,omitempty" doc:"How often a heartbeat goes out"`
	Pending       int64      `json:"pending" doc:"Messages that wait"`
	Failed        int64      `json:"failed" doc:"Messages that it refused for good, of those that are kept"`
	OldestPending *time.Time `json:"oldestPending,omitempty"`
	LastDelivered *time.Time `json:"lastDelivered,omitempty"`
}

// SilenceRequest keeps matching incidents from being sent for a while.
type SilenceRequest struct {
	Rule   string     `json:"rule,omitempty" maxLength:"256" doc:"Only this rule; rule, object or class is required"`
	Object string     `json:"object,omitempty" maxLength:"256" doc:"Only this object"`
	Class  string     `json:"class,omitempty" maxLength:"8" doc:"Only this class: P0, P1, P2 or P3"`
	Reason string     `json:"reason" maxLength:"2000" doc:"Why, in 1 to 500 bytes; kept in the audit log's history"`
	For    string     `json:"for,omitempty" maxLength:"32" doc:"How long, such as 2h; at most 30 days. This or endsAt" example:"2h"`
	EndsAt *time.Time `json:"endsAt,omitempty" doc:"When it ends"`
}

// Silence is one in force.
type Silence struct {
	ID        string    `json:"id"`
	Rule      string    `json:"rule,omitempty"`
	Object    string    `json:"object,omitempty"`
	Class     string    `json:"class,omitempty"`
	Reason    string    `json:"reason"`
	By        string    `json:"by" doc:"The principal"`
	CreatedAt time.Time `json:"createdAt"`
	EndsAt    time.Time `json:"endsAt" doc:"It ends by itself"`
}

// AlertTestRequest sends a test message through the real receivers.
type AlertTestRequest struct {
	Receiver string `json:"receiver,omitempty" maxLength:"200" doc:"Only this one; absent: all"`
	Class    string `json:"class,omitempty" maxLength:"8" doc:"As which class: P0 wakes people. Default: P3" example:"P3"`
}

// AlertTest is what one receiver said to a test.
type AlertTest struct {
	Receiver string          `json:"receiver"`
	Kind     string          `json:"kind"`
	OK       bool            `json:"ok" doc:"Whether it accepted every message"`
	DedupKey string          `json:"dedupKey" doc:"Of the trigger and its resolve: look for it at the receiver"`
	Steps    []AlertTestStep `json:"steps"`
}

// AlertTestStep is one message of a test.
type AlertTestStep struct {
	Action     string `json:"action" enum:"trigger,resolve,heartbeat"`
	Accepted   bool   `json:"accepted"`
	Answer     string `json:"answer" doc:"What the receiver said"`
	TookMillis int64  `json:"tookMillis"`
}
