package config

// Signals is what the counts that the host reports mean.
type Signals struct {
	// Window of the error rate.
	Window Duration `yaml:"window" reload:"live" range:"1m..1h" example:"10m"`
	// Share of failed requests above which it is an incident, in percent.
	ErrorPercent int `yaml:"error_percent" reload:"live" range:"1..100" example:"2"`
	// Requests in a window below which the rate says nothing.
	MinRequests int `yaml:"min_requests" reload:"live" range:"1..1000000" example:"100"`
	// After how long without another one payments, queries and security events
	// that were reported count as over.
	Quiet Duration `yaml:"quiet" reload:"live" range:"1m..24h" example:"30m"`
	// Rate limit violations in an hour above which it is an incident.
	ViolationsPerHour int `yaml:"violations_per_hour" reload:"live" range:"1..1000000000" example:"5000"`
	// Failed authentications in an hour above which it is an incident.
	AuthFailuresPerHour int `yaml:"auth_failures_per_hour" reload:"live" range:"1..1000000000" example:"1000"`
}

// Incidents is who hears of trouble, when and how.
type Incidents struct {
	// Who is told, by name. Nobody by default: incidents are then only listed.
	Receivers map[string]Receiver `yaml:"receivers"`
	// Changes to the rule table, by rule.
	Rules map[string]RuleOverride `yaml:"rules" example:"{job_overdue: {class: P1, channels: [pager, chat]}}"`
	// How long classes wait before they are sent. P0 never waits.
	Delay IncidentDelay `yaml:"delay"`
	// When an incident that nobody acknowledged goes one level up.
	Escalation Escalation `yaml:"escalation"`
	// When P3 is sent.
	BusinessHours BusinessHours `yaml:"business_hours"`
	// What is put before an incident's id for a link in messages, such as the
	// console's address. Empty: no link.
	Link string `yaml:"link" example:"https://gantry.example.com/v1/incidents/"`
}

// RuleOverride replaces parts of a rule. What is empty stays.
type RuleOverride struct {
	// Its class.
	Class string `yaml:"class" enum:",P0,P1,P2,P3" example:"P1"`
	// Who hears of it.
	Channels []string `yaml:"channels" example:"[pager, chat]"`
}

// IncidentDelay lets short trouble pass unsaid.
type IncidentDelay struct {
	// Of P1.
	P1 Duration `yaml:"p1" range:"0s..15m" example:"2m"`
	// Of P2.
	P2 Duration `yaml:"p2" range:"0s..1h" example:"10m"`
}

// Escalation is how long after the first message the receivers of level 1, 2,
// … are told.
type Escalation struct {
	// Of P0.
	P0 []Duration `yaml:"p0" example:"[5m, 15m]"`
	// Of P1.
	P1 []Duration `yaml:"p1" example:"[30m, 2h]"`
}

// BusinessHours is when people read what can wait.
type BusinessHours struct {
	// IANA time zone.
	TimeZone string `yaml:"time_zone" example:"Europe/Warsaw"`
	// Time of day, hh:mm.
	Morning string `yaml:"morning" example:"08:30"`
	// Days: mon, tue, wed, thu, fri, sat, sun.
	Days []string `yaml:"days" example:"[mon, tue, wed, thu, fri]"`
}

// Receiver is one place that messages go to. Exactly one of the kinds
// (pagerduty … ping) says where.
type Receiver struct {
	// What it is: pager wakes people, chat and email are read.
	Channels []string `yaml:"channels" example:"[pager]"`
	// 0 is told first, such as the ops team; 1, 2, … (tech lead, CTO) only when
	// nobody acknowledged in time.
	Level int `yaml:"level" range:"0..9" example:"1"`
	// How often what still fails is told again. 0: never, and of Alertmanager,
	// which forgets, every 3 minutes.
	Repeat Duration `yaml:"repeat" range:"0s..24h" example:"1h"`
	// How often a heartbeat goes out, for a dead-man's switch: who misses it
	// knows that alerts do not get through. 0: never.
	Heartbeat Duration `yaml:"heartbeat" range:"0s..24h" example:"1m"`
	// Whether a public host name may lead to an address inside the network.
	Private bool `yaml:"private" example:"true"`

	// PagerDuty, Events API v2.
	PagerDuty *PagerDutyReceiver `yaml:"pagerduty"`
	// Opsgenie, Alert API. Atlassian ends it on 2027-04-05.
	Opsgenie *OpsgenieReceiver `yaml:"opsgenie"`
	// Slack, incoming webhook.
	Slack *SlackReceiver `yaml:"slack"`
	// Prometheus Alertmanager, API v2.
	Alertmanager *AlertmanagerReceiver `yaml:"alertmanager"`
	// E-mail over SMTP.
	Email *EmailReceiver `yaml:"email"`
	// A URL of yours, signed by Standard Webhooks.
	Webhook *WebhookReceiver `yaml:"webhook"`
	// A URL that is requested: for heartbeats to services such as
	// Healthchecks.io.
	Ping *PingReceiver `yaml:"ping"`
}

// PagerDutyReceiver is a service's integration.
type PagerDutyReceiver struct {
	// Its integration key.
	RoutingKey Secret `yaml:"routing_key" example:"${PAGERDUTY_ROUTING_KEY}"`
	// Base URL. Empty: PagerDuty's; https://events.eu.pagerduty.com in Europe.
	URL string `yaml:"url" example:"https://events.eu.pagerduty.com"`
}

// OpsgenieReceiver is an API integration.
type OpsgenieReceiver struct {
	// Its API key.
	APIKey Secret `yaml:"api_key" example:"${OPSGENIE_API_KEY}"`
	// Base URL. Empty: https://api.opsgenie.com.
	URL string `yaml:"url" example:"https://api.eu.opsgenie.com"`
}

// SlackReceiver is a channel.
type SlackReceiver struct {
	// Its incoming webhook.
	WebhookURL Secret `yaml:"webhook_url" example:"${SLACK_WEBHOOK_URL}"`
}

// AlertmanagerReceiver is a server.
type AlertmanagerReceiver struct {
	// Its URL.
	URL string `yaml:"url" example:"http://alertmanager:9093"`
	// Bearer token. Empty: none.
	Token Secret `yaml:"token" example:"${ALERTMANAGER_TOKEN}"`
}

// EmailReceiver is people.
type EmailReceiver struct {
	// HOST:PORT of the mail server.
	Server string `yaml:"server" example:"smtp.example.com:587"`
	// starttls (also if empty), tls (from the first byte), or none.
	Security string `yaml:"security" enum:",starttls,tls,none" example:"tls"`
	// User name. Empty: no authentication.
	Username string `yaml:"username" example:"gantry"`
	// Its password.
	Password Secret `yaml:"password" example:"${SMTP_PASSWORD}"`
	// Sender.
	From string `yaml:"from" example:"gantry@example.com"`
	// Recipients.
	To []string `yaml:"to" example:"[ops-team@example.com]"`
}

// WebhookReceiver is an endpoint of yours.
type WebhookReceiver struct {
	// Where it is posted.
	URL string `yaml:"url" example:"https://ops.example.com/gantry"`
	// Signing secrets ("whsec_…"; several are joined by |).
	Secrets Secret `yaml:"secrets" example:"${INCIDENT_WEBHOOK_SECRETS}"`
}

// PingReceiver is a URL.
type PingReceiver struct {
	// The URL; it may hold a secret.
	URL Secret `yaml:"url" example:"${HEALTHCHECKS_PING_URL}"`
}
