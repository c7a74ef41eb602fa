// Package incident turns facts into incidents, and incidents into messages
// that reach a person: one incident for each cause, by a declared table of
// rules; routed, escalated and silenced by pure functions; delivered at least
// once and in order, out of an outbox that commits with the change.
//
// # From a fact to a page
//
// A feature on any node raises signal.Fact levels. Buffer keeps the last one
// of each rule and object, and Service.Flush writes what changed: a failing
// fact is a Condition, a clear one deletes it. On the one node that holds the
// lease, Service.Evaluate loads Books (conditions, incidents, silences), lets
// them decide, and commits incidents, their timeline and the messages to send
// in one transaction. Sender takes messages from the outbox and gives them to
// a Receiver until it accepts them.
//
// Values of facts are texts for people. They are shown to everyone who may
// read incidents, and sent to every receiver: a source puts no personal datum
// and no secret into one. Clean removes what looks like a credential all the
// same.
package incident
