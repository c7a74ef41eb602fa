package httpapi

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/internal/launch"
)

// OFREP, the OpenFeature Remote Evaluation Protocol 0.3
// (github.com/open-feature/protocol): the launch state as feature flags, from
// memory. docs/OFREP.md says what each flag means.

// The flags, in the order of a bulk answer.
const (
	flagLaunchMode  = "launch_mode"
	flagSignupOpen  = "signup_open"
	flagRegionOpen  = "region_open"
	flagMaintenance = "maintenance"
)

// The reasons of OpenFeature that apply here. DISABLED, which a maintenance
// suggests, does not: providers answer it with the application's own default,
// which may be that signups are open.
const (
	reasonStatic   = "STATIC"          // no context would change it
	reasonTargeted = "TARGETING_MATCH" // by the context's country
	reasonDefault  = "DEFAULT"         // the context has no country
	reasonStale    = "STALE"           // the store was not read for too long
)

// ofrepRequest is a request as documentation; see ofrepCountry.
type ofrepRequest struct {
	Context map[string]any `json:"context,omitempty" doc:"country (or countryCode) decides region_open; everything else is ignored"`
}

// ofrepFlag is one evaluation.
type ofrepFlag struct {
	Key      string         `json:"key"`
	Value    any            `json:"value" doc:"A string for launch_mode, else a boolean"`
	Reason   string         `json:"reason" enum:"STATIC,TARGETING_MATCH,DEFAULT,STALE"`
	Variant  string         `json:"variant" doc:"What the value comes from"`
	Metadata map[string]any `json:"metadata" doc:"version of the mode, and what explains the value"`
}

// ofrepBulk is every evaluation.
type ofrepBulk struct {
	Flags        []ofrepFlag        `json:"flags"`
	EventStreams []ofrepEventStream `json:"eventStreams" doc:"Where to hear that the flags changed"`
	Metadata     map[string]any     `json:"metadata" doc:"version of the mode and ageSeconds of the state"`
}

// ofrepEventStream names a stream within the origin that the client knows us
// by.
type ofrepEventStream struct {
	Type     string                   `json:"type" enum:"sse"`
	Endpoint ofrepEventStreamEndpoint `json:"endpoint"`
}

type ofrepEventStreamEndpoint struct {
	RequestURI string `json:"requestUri"`
}

// ofrepFailure is an error as OFREP's providers read it.
type ofrepFailure struct {
	Key          string `json:"key,omitempty" doc:"Of a single evaluation"`
	ErrorCode    string `json:"errorCode" enum:"PARSE_ERROR,INVALID_CONTEXT,FLAG_NOT_FOUND"`
	ErrorDetails string `json:"errorDetails"`
}

func (s *Server) ofrepFlag(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	key := r.PathValue("key")
	echo, _ := bounded(key).(string)
	country, fail := ofrepCountry(r.Body)
	if fail != nil {
		fail.Key = echo
		writeJSON(w, http.StatusBadRequest, "application/json", fail)
		return
	}
	v, age := s.d.Launch.View()
	flags := evaluate(v, s.d.Now(), country)
	i := slices.IndexFunc(flags, func(f ofrepFlag) bool { return f.Key == key })
	if i < 0 {
		writeJSON(w, http.StatusNotFound, "application/json", ofrepFailure{Key: echo, ErrorCode: "FLAG_NOT_FOUND",
			ErrorDetails: "the flags are launch_mode, signup_open, region_open and maintenance"})
		return
	}
	flags[i].Metadata["ageSeconds"] = seconds(age)
	writeJSON(w, http.StatusOK, "application/json", flags[i])
}

// ofrepFlags answers all flags, or 304 if the client has them: the tag covers
// what is evaluated, not the age of the state.
func (s *Server) ofrepFlags(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	country, fail := ofrepCountry(r.Body)
	if fail != nil {
		writeJSON(w, http.StatusBadRequest, "application/json", fail)
		return
	}
	v, age := s.d.Launch.View()
	out := ofrepBulk{Flags: evaluate(v, s.d.Now(), country), Metadata: map[string]any{"version": v.Version, "ageSeconds": seconds(age)},
		EventStreams: []ofrepEventStream{{Type: "sse", Endpoint: ofrepEventStreamEndpoint{RequestURI: ofrepEventsPath}}}}
	tag := etag(out.Flags)
	w.Header().Set("ETag", tag)
	if noneMatch(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", out)
}

func seconds(age time.Duration) int64 { return max(0, int64(age/time.Second)) }

// evaluate answers every flag from one view.
func evaluate(v *launch.View, now time.Time, country string) []ofrepFlag {
	mode := ofrepFlag{Key: flagLaunchMode, Value: string(v.Mode), Variant: string(v.Mode), Reason: reasonStatic,
		Metadata: map[string]any{"admission": string(v.Mode.Admission())}}
	door := v.SignupDoor(now)
	signup := ofrepFlag{Key: flagSignupOpen, Value: door == launch.DoorOpen, Variant: string(door), Reason: reasonStatic,
		Metadata: map[string]any{"admission": string(v.Mode.Admission())}}
	if door == launch.DoorFull {
		signup.Metadata["opensAt"] = v.OpensAt(now).Format(time.RFC3339)
	}
	given := reasonTargeted
	if country == "" {
		given = reasonDefault
	}
	door, code := v.RegionDoor(country, now)
	region := ofrepFlag{Key: flagRegionOpen, Value: door == launch.DoorOpen, Variant: string(door), Reason: given, Metadata: map[string]any{}}
	if code != "" {
		region.Metadata["country"] = code
	}
	closed := ofrepFlag{Key: flagMaintenance, Value: v.Maintenance.On(now), Variant: "off", Reason: reasonStatic, Metadata: map[string]any{}}
	if v.Maintenance.On(now) {
		closed.Variant = "on"
		closed.Metadata["until"] = v.Maintenance.Until.Format(time.RFC3339)
	}
	flags := []ofrepFlag{mode, signup, region, closed}
	for i := range flags {
		flags[i].Metadata["version"] = v.Version
		if v.Stale(now) {
			flags[i].Reason = reasonStale
		}
	}
	return flags
}

// ofrepCountry reads a request and returns its context's country, "" if it
// has none. What the flags do not depend on is not looked at, but for a
// targetingKey that is no string: that client sends something else than it
// means.
func ofrepCountry(body io.Reader) (string, *ofrepFailure) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return "", &ofrepFailure{ErrorCode: "PARSE_ERROR", ErrorDetails: bodyError(err).Msg}
	}
	var request, context map[string]json.RawMessage
	if err := json.Unmarshal(raw, &request); err != nil || request == nil {
		return "", &ofrepFailure{ErrorCode: "PARSE_ERROR", ErrorDetails: `the body must be a JSON object: {"context":{…}}`}
	}
	if c := request["context"]; c != nil {
		if err := json.Unmarshal(c, &context); err != nil {
			return "", &ofrepFailure{ErrorCode: "INVALID_CONTEXT", ErrorDetails: "context must be a JSON object"}
		}
	}
	var values [3]string
	for i, name := range [...]string{"country", "countryCode", "targetingKey"} {
		if c := context[name]; c != nil {
			if err := json.Unmarshal(c, &values[i]); err != nil {
				return "", &ofrepFailure{ErrorCode: "INVALID_CONTEXT", ErrorDetails: "context." + name + " must be a string"}
			}
		}
	}
	return cmp.Or(values[0], values[1]), nil
}

// etag is a weak tag over what is marshalled: the bytes of two answers may
// differ in their age.
func etag(v any) string {
	b, _ := json.Marshal(v) // every type here marshals
	sum := sha256.Sum256(b)
	return `W/"` + hex.EncodeToString(sum[:12]) + `"`
}

// noneMatch reports whether an If-None-Match lists the tag. The comparison is
// weak. "*" is no tag: who has nothing yet needs the flags.
func noneMatch(headers []string, tag string) bool {
	for _, h := range headers {
		for t := range strings.SplitSeq(h, ",") {
			if strings.TrimPrefix(strings.TrimSpace(t), "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}

// isOFREP reports whether a path belongs to feature-flag clients, which run
// in browsers.
func isOFREP(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/ofrep/") }

// ofrepPreflight answers a browser's OPTIONS for any OFREP path.
func (s *Server) ofrepPreflight(w http.ResponseWriter, _ *http.Request) {
	allowRequest(w, "authorization, x-api-key, content-type, if-none-match, cache-control, last-event-id, x-request-id")
}
