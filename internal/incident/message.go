package incident

import (
	"context"
	"strconv"
	"time"
)

// Action is what a message asks of a receiver.
type Action string

// The actions.
const (
	Trigger     Action = "trigger"
	UpdateAlert Action = "update"      // the class rose
	Repeat      Action = "repeat"      // nothing new: it still fails
	Acknowledge Action = "acknowledge" // somebody took it: stop calling others
	Resolve     Action = "resolve"
	Heartbeat   Action = "heartbeat" // the alert path works
)

// Message is what a receiver is told. It is made when it goes into the outbox
// and does not change from attempt to attempt.
type Message struct {
	Delivery string // the id of the delivery, the same at every attempt
	Action   Action
	DedupKey string // joins the messages of one incident

	Incident string // its id; "" for a heartbeat and for what is sent without the store
	Class    Class
	State    State
	Group    string // of the cause
	Object   string
	Rules    []string
	Summary  string // at most 1000 bytes
	Source   string // the installation
	Link     string // to the incident, or ""
	OpenedAt time.Time
	At       time.Time // of what it tells
}

// Answer is what a receiver said, for people who look at a delivery.
type Answer struct {
	Text string // short, without secrets
}

// Receiver delivers messages to one place. Deliver may be called for
// different incidents at once, and again for a message that was accepted but
// whose acceptance got lost: the receiver joins them by DedupKey, or by
// Delivery. It returns in the time of ctx.
//
// A nil error means that the receiver accepted it. Any other is a
// *DeliveryError, or treated as a retryable one. An error says nothing about
// whether the message arrived. Neither error nor answer holds a secret (a
// URL may be one).
type Receiver interface {
	Deliver(ctx context.Context, m Message) (Answer, error)
}

// Contact says who hears what through a receiver.
type Contact struct {
	Name     string
	Channels []Channel
	Level    int // 0 the ops team, 1 the tech lead, 2 the CTO: those above 0 hear of it only by escalation
	// Repeat is how often it is told again what still fails, for receivers that
	// forget (Alertmanager); 0 is never.
	Repeat time.Duration
}

// Delivery is a row of the outbox.
type Delivery struct {
	ID        int64 // rises: the order of delivery for one incident and receiver
	Incident  string
	Receiver  string
	Action    Action
	Message   Message
	State     DeliveryState
	Attempts  int
	CreatedAt time.Time
	NextAt    time.Time // the next attempt, or the end of the claim
	DoneAt    time.Time
	Answer    string // of the last attempt
}

// Number gives the delivery its number, and its message the id that is made
// of it.
func (d *Delivery) Number(id int64) {
	d.ID = id
	d.Message.Delivery = d.Message.DedupKey + "-" + strconv.FormatInt(id, 10)
}

// DeliveryState says what became of a delivery.
type DeliveryState string

// States of a delivery.
const (
	Pending   DeliveryState = "pending"
	Delivered DeliveryState = "delivered"
	Failed    DeliveryState = "failed" // refused for good
)
