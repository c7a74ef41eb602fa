package api

import "time"

// SignupRefusedDetails are the Details of a signup that is refused, as far
// as they are known, but for RATE_LIMITED, which has RateLimitedDetails.
type SignupRefusedDetails struct {
	Mode             string     `json:"mode,omitempty" doc:"The mode that refuses"`
	Problem          string     `json:"problem,omitempty" doc:"What about the rule fails, such as \"not open\""`
	Country          string     `json:"country,omitempty" doc:"The country as understood; absent if it is none"`
	AllowedCountries any        `json:"allowedCountries,omitempty" doc:"A list, or \"ALL\""`
	Limit            int64      `json:"limit,omitempty" doc:"The day's cap"`
	Actual           int64      `json:"actual,omitempty" doc:"Slots of it that are taken"`
	Day              string     `json:"day,omitempty" doc:"The day that is full, in the settings' time zone"`
	OpensAt          *time.Time `json:"opensAt,omitempty" doc:"When the next day opens"`
	Until            *time.Time `json:"until,omitempty" doc:"The expected end of a maintenance"`
}

// PreconditionReadiness is the Problem of a move that the readiness gate does
// not let pass: see LaunchOverride.
const PreconditionReadiness = "readiness"

// PreconditionDetails are the Details of the CONFLICT of a move that needs
// something done first.
type PreconditionDetails struct {
	Problem string `json:"problem" doc:"What is missing: readiness, override, …"`
	Mode    string `json:"mode" doc:"The mode in force"`
	Target  string `json:"target" doc:"The mode that was wanted"`
	Version int64  `json:"version" doc:"The version of the mode in force"`
	Report  string `json:"report,omitempty" doc:"Digest of the readiness report; absent if there is none"`
}
