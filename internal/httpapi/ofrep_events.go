package httpapi

import (
	"net/http"
)

// ofrepEventsPath is the stream that a bulk answer names.
const ofrepEventsPath = "/ofrep/v1/events"

// againLooks is after how many looks a flag event is repeated: a client may
// have asked another node, which follows within a second.
const againLooks = 2

// refetch is the event of OFREP that tells a client to evaluate again.
const refetch = `{"type":"refetchEvaluation"}`

// newFlagStreams tells connected clients to evaluate again whenever a flag may
// have changed for anybody.
func newFlagStreams(fingerprint func() string) *streams {
	return newStreams(func() (string, string) { return stateID(fingerprint()), refetch }, againLooks)
}

// ofrepEvents is the stream of one client of flags.
func (s *Server) ofrepEvents(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, s.flags, "poll POST /ofrep/v1/evaluate/flags instead", func() bool { return true })
}
