package api

import "time"

// LaunchMode is the public state of the launch.
type LaunchMode struct {
	Mode               string       `json:"mode" enum:"INTERNAL_TEST,CLOSED_BETA,SOFT_LAUNCH,GLOBAL_LAUNCH" doc:"The mode in force"`
	Version            int64        `json:"version" doc:"How many transitions there were: what ifVersion is compared with"`
	Since              *time.Time   `json:"since,omitempty" doc:"When the mode was set; absent before the first transition"`
	Description        string       `json:"description" doc:"Who may register, in English"`
	Admission          string       `json:"admission" enum:"allowlist,invite,open" doc:"What the mode asks of a newcomer"`
	RequiresInviteCode bool         `json:"requiresInviteCode" doc:"Whether admission is by invite"`
	AllowedCountries   any          `json:"allowedCountries" doc:"The open countries (ISO 3166-1 alpha-2), or \"ALL\" for all but the blocked ones"`
	Maintenance        *Maintenance `json:"maintenance,omitempty" doc:"The maintenance in force, if any"`
	AsOf               time.Time    `json:"asOf" doc:"When this node last read the state from the store"`
	AgeSeconds         int64        `json:"ageSeconds" doc:"How long ago that is; over 1 while the store does not answer"`
}

// Maintenance closes signups, gates and flags.
type Maintenance struct {
	Until     time.Time `json:"until" doc:"When it ends by itself"`
	StartedAt time.Time `json:"startedAt" doc:"When it was switched on"`
}

// SetLaunchModeRequest moves to another mode.
type SetLaunchModeRequest struct {
	Mode       string `json:"mode" maxLength:"64" doc:"The target: INTERNAL_TEST, CLOSED_BETA, SOFT_LAUNCH or GLOBAL_LAUNCH" example:"CLOSED_BETA"`
	Reason     string `json:"reason" maxLength:"2000" doc:"Why, in 10 to 500 characters; kept in the history" example:"Opening the beta to the first testers"`
	IfVersion  *int64 `json:"ifVersion,omitempty" minimum:"0" doc:"The version you decided on; CONFLICT if it moved on. Absent: what this node knows"`
	RevokeOpen bool   `json:"revokeOpen,omitempty" doc:"End the open reservations instead of honouring them"`
	Override   string `json:"override,omitempty" maxLength:"64" doc:"An approved override that lets this move pass the readiness gate"`
}

// Transition is one line of the mode's history.
type Transition struct {
	ID         string    `json:"id"`
	Version    int64     `json:"version" doc:"Of the mode, from this transition on"`
	From       string    `json:"fromMode"`
	To         string    `json:"toMode"`
	At         time.Time `json:"transitionedAt"`
	By         string    `json:"transitionedBy" doc:"The principal"`
	Reason     string    `json:"reason"`
	RevokeOpen bool      `json:"revokeOpen,omitempty"`
	Revoked    int64     `json:"revoked,omitempty" doc:"Open reservations that it ended"`
	Override   string    `json:"override,omitempty" doc:"The override that let it pass the gate"`
	ApprovedBy string    `json:"approvedBy,omitempty" doc:"Who approved the override"`
	Report     string    `json:"report,omitempty" doc:"Digest of the readiness report"`
}

// LaunchOverride is a second admin's consent to a move that the readiness
// gate does not let pass. It binds exactly what was asked for.
type LaunchOverride struct {
	ID          string     `json:"id"`
	Status      string     `json:"status" enum:"pending,approved,expired,used"`
	From        string     `json:"fromMode"`
	FromVersion int64      `json:"fromVersion"`
	To          string     `json:"toMode"`
	Reason      string     `json:"reason"`
	RevokeOpen  bool       `json:"revokeOpen,omitempty"`
	Report      string     `json:"report,omitempty" doc:"Digest of the readiness report; absent if there was none"`
	RequestedBy string     `json:"requestedBy"`
	RequestedAt time.Time  `json:"requestedAt"`
	ApprovedBy  string     `json:"approvedBy,omitempty"`
	ApprovedAt  *time.Time `json:"approvedAt,omitempty"`
	UsedAt      *time.Time `json:"usedAt,omitempty"`
	ExpiresAt   time.Time  `json:"expiresAt" doc:"30 minutes after the request, or after the approval"`
}

// LaunchPhase is what may be tuned about a mode while it lasts.
type LaunchPhase struct {
	Countries   []string         `json:"countries" maxItems:"400" doc:"Open countries, ISO 3166-1 alpha-2"`
	Groups      []string         `json:"groups,omitempty" maxItems:"16" doc:"Open groups: ALL, EU, EEA, NA (North America: Canada, Mexico, United States)"`
	DailyCap    *int64           `json:"dailyCap,omitempty" doc:"Signups of one day; absent: unlimited"`
	CountryCaps map[string]int64 `json:"countryCaps,omitempty" doc:"Signups of one day from one country, within dailyCap"`
}

// LaunchPhaseInfo is a phase in force.
type LaunchPhaseInfo struct {
	LaunchPhase
	Mode             string `json:"mode"`
	Current          bool   `json:"current" doc:"Whether its mode is in force"`
	Version          int64  `json:"version" doc:"What ifVersion is compared with; 0: never changed"`
	AllowedCountries any    `json:"allowedCountries" doc:"The open countries with groups resolved and blocked ones left out, or \"ALL\""`
}

// LaunchSettings hold for every mode.
type LaunchSettings struct {
	TimeZone         string   `json:"timeZone" maxLength:"64" doc:"IANA zone whose midnight ends a cap's day" example:"Europe/Warsaw"`
	BlockedCountries []string `json:"blockedCountries" maxItems:"400" doc:"Countries that may not sign up in any mode"`
	RequireIPCountry bool     `json:"requireIPCountry,omitempty" doc:"Whether the address's country must be the stated one; needs launch.ip_country_database"`
	ReservationTTL   string   `json:"reservationTTL" maxLength:"32" doc:"How long a reservation holds its slot: 1m to 168h" example:"15m"`
	HookTTL          string   `json:"hookTTL" maxLength:"32" doc:"The same for reservations made by hooks" example:"24h"`
	Version          int64    `json:"version,omitempty" doc:"What ifVersion is compared with; not read"`
}

// EligibilityRequest asks whether somebody could sign up now.
type EligibilityRequest struct {
	Country    string `json:"country,omitempty" maxLength:"64" doc:"ISO 3166-1 code" example:"PL"`
	InviteCode string `json:"inviteCode,omitempty" maxLength:"64" doc:"As typed" example:"K7QPD-2M9XA"`
	UserID     string `json:"userId,omitempty" maxLength:"128" doc:"The host's id of the user" example:"u-1842"`
	Email      string `json:"email,omitempty" maxLength:"254" doc:"The user's e-mail address"`
	IP         string `json:"ip,omitempty" maxLength:"64" doc:"The client's address, not the host's: wrong codes and held slots are counted by it" example:"203.0.113.9"`
	Device     string `json:"device,omitempty" maxLength:"256" doc:"The client's device id"`
}

// Eligibility is the answer.
type Eligibility struct {
	Allowed            bool      `json:"allowed"`
	Code               Code      `json:"code,omitempty" doc:"The first rule that refuses"`
	Message            string    `json:"message,omitempty" doc:"Text for the user, in the language asked for"`
	Details            any       `json:"details,omitempty" doc:"Facts, by code: the limit and the actual value"`
	Mode               string    `json:"mode"`
	RequiresInviteCode bool      `json:"requiresInviteCode"`
	AllowedCountries   any       `json:"allowedCountries" doc:"A list, or \"ALL\""`
	AsOf               time.Time `json:"asOf" doc:"When this node last read the state"`
}

// ReserveRequest takes a slot.
type ReserveRequest struct {
	EligibilityRequest
	TTLSeconds int64 `json:"ttlSeconds,omitempty" doc:"How long the reservation holds its slot: 60 to 604800; absent: as the settings say"`
}

// Reservation is one signup's hold on a slot of a day.
type Reservation struct {
	ID          string     `json:"id"`
	State       string     `json:"state" enum:"open,confirmed,released,expired,revoked,unbacked" doc:"unbacked: the account exists and no slot is left for it"`
	Existing    bool       `json:"existing,omitempty" doc:"The subject held it before"`
	Day         string     `json:"day" doc:"The day that it counts on, in the settings' time zone" example:"2026-11-24"`
	Country     string     `json:"country"`
	Mode        string     `json:"mode" doc:"In which it was granted"`
	UserID      string     `json:"userId,omitempty"`
	Source      string     `json:"source,omitempty" doc:"How it came: api, or the hook's name"`
	InviteID    string     `json:"inviteId,omitempty" doc:"The invite whose use it holds"`
	CreatedAt   time.Time  `json:"createdAt"`
	ExpiresAt   time.Time  `json:"expiresAt" doc:"When an open one ends by itself"`
	ConfirmedAt *time.Time `json:"confirmedAt,omitempty"`
	EndedAt     *time.Time `json:"endedAt,omitempty"`
}

// SignupCount is one counter.
type SignupCount struct {
	Country   string `json:"country,omitempty" doc:"Absent: all countries"`
	Open      int64  `json:"open" doc:"Reserved and not confirmed yet"`
	Confirmed int64  `json:"confirmed"`
	Cap       *int64 `json:"cap,omitempty" doc:"Of the day; absent: unlimited"`
	Remaining *int64 `json:"remaining,omitempty" doc:"Slots left; absent: unlimited"`
}

// SignupCounts are the counters of one day.
type SignupCounts struct {
	Day       string        `json:"day"`
	TimeZone  string        `json:"timeZone"`
	EndsAt    *time.Time    `json:"endsAt,omitempty" doc:"When the next day opens; absent for a past day"`
	Total     SignupCount   `json:"total"`
	Countries []SignupCount `json:"countries" doc:"In the order of their codes"`
}

// SignupDrift is a counter that does not count what is there.
type SignupDrift struct {
	Day     string `json:"day,omitempty"`
	Country string `json:"country,omitempty"`
	State   string `json:"state,omitempty"`
	Invite  string `json:"inviteId,omitempty"`
	Counted int64  `json:"counted"`
	Rows    int64  `json:"rows"`
}

// InviteRequest makes invite codes.
type InviteRequest struct {
	Count     int        `json:"count,omitempty" doc:"1 to 1000; absent: 1"`
	MaxUses   int64      `json:"maxUses,omitempty" doc:"Signups that each code admits; absent: 1"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"Absent: never"`
	Country   string     `json:"country,omitempty" maxLength:"64" doc:"Admit from this country only"`
	Email     string     `json:"email,omitempty" maxLength:"254" doc:"Admit this address only"`
	Note      string     `json:"note,omitempty" maxLength:"500" doc:"For whom or what"`
}

// Invite is an invite as listed; its code was shown once.
type Invite struct {
	ID        string     `json:"id"`
	Batch     string     `json:"batch" doc:"Of the invites made together"`
	MaxUses   int64      `json:"maxUses"`
	Used      int64      `json:"used" doc:"Held by open and confirmed reservations"`
	Country   string     `json:"country,omitempty"`
	Bound     bool       `json:"bound,omitempty" doc:"Admits one e-mail address only"`
	Note      string     `json:"note,omitempty"`
	CreatedBy string     `json:"createdBy"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	RevokedAt *time.Time `json:"revokedAt,omitempty"`
}

// NewInvite is an invite with its code.
type NewInvite struct {
	Invite
	Code  string `json:"code" doc:"Shown once; empty in a replayed answer"`
	Email string `json:"email,omitempty" doc:"The address that it is bound to"`
}

// NewInvites are the invites of one call.
type NewInvites struct {
	Batch   string      `json:"batch"`
	Invites []NewInvite `json:"invites"`
}

// ClaimInviteRequest joins a code and an e-mail address for a signup that
// cannot carry the code.
type ClaimInviteRequest struct {
	InviteCode string `json:"inviteCode" maxLength:"64"`
	Email      string `json:"email" maxLength:"254"`
	Country    string `json:"country,omitempty" maxLength:"64"`
	IP         string `json:"ip,omitempty" maxLength:"64" doc:"The client's address: wrong codes are counted by it"`
	Device     string `json:"device,omitempty" maxLength:"256"`
}

// AllowlistEntry names who may sign up in INTERNAL_TEST.
type AllowlistEntry struct {
	ID      string    `json:"id,omitempty" doc:"Not read"`
	Kind    string    `json:"kind" doc:"user, email, or domain (of e-mail addresses)" example:"email"`
	Value   string    `json:"value" maxLength:"254" example:"ada@example.com"`
	Note    string    `json:"note,omitempty" maxLength:"500"`
	AddedBy string    `json:"addedBy,omitempty" doc:"Not read"`
	AddedAt time.Time `json:"addedAt,omitzero" doc:"Not read"`
}

// WaitlistRequest puts somebody on the waitlist who was refused.
type WaitlistRequest struct {
	Email   string `json:"email" maxLength:"254" doc:"Where the invite will go"`
	Country string `json:"country" maxLength:"64" doc:"ISO 3166-1 code"`
	IP      string `json:"ip,omitempty" maxLength:"64" doc:"The client's address: joins are counted by it"`
	Device  string `json:"device,omitempty" maxLength:"256"`
}

// WaitlistPlace is a place on the waitlist.
type WaitlistPlace struct {
	ID       string    `json:"id"`
	Position int64     `json:"position" doc:"1 is next; 0: invited already"`
	JoinedAt time.Time `json:"joinedAt"`
}

// WaitlistEntry is a place with whose it is.
type WaitlistEntry struct {
	WaitlistPlace
	Email     string     `json:"email"`
	Country   string     `json:"country"`
	Refused   string     `json:"refused" doc:"The code that refused the signup"`
	InvitedAt *time.Time `json:"invitedAt,omitempty"`
	InviteID  string     `json:"inviteId,omitempty"`
}

// WaitlistInviteRequest invites the next who wait.
type WaitlistInviteRequest struct {
	Count     int        `json:"count" doc:"1 to 1000"`
	Country   string     `json:"country,omitempty" maxLength:"64" doc:"Only those of this country"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"Of the codes; absent: never"`
	Note      string     `json:"note,omitempty" maxLength:"500"`
}

// MaintenanceRequest closes signups, gates and flags.
type MaintenanceRequest struct {
	Until  *time.Time `json:"until,omitempty" doc:"When it ends by itself; this or for"`
	For    string     `json:"for,omitempty" maxLength:"32" doc:"How long it lasts, at most 168h; this or until" example:"30m"`
	Reason string     `json:"reason" maxLength:"2000" doc:"Why, in 10 to 500 characters"`
}
