// Package probe holds what the adapters of health.Prober share: errors that
// carry nothing of what a server or the configuration said, connections that
// end with their measurement, and bounded fetches. Each folder below it is one
// kind of dependency.
//
// A prober keeps no connection between two measurements. So each one shows
// that a connection can be made now, one that a firewall swallowed cannot
// stand in its way, and a prober needs no end of its own.
package probe
