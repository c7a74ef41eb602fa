package cli

import (
	"fmt"
	"strconv"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

type signupCmd struct {
	remote
	Check   signupCheckCmd   `cmd:"" help:"Ask whether somebody could sign up now."`
	Counts  signupCountsCmd  `cmd:"" help:"Count the signups of a day."`
	List    signupListCmd    `cmd:"" help:"List reservations, also accounts without a slot."`
	Confirm signupConfirmCmd `cmd:"" help:"Confirm a reservation whose account exists."`
	Release signupReleaseCmd `cmd:"" help:"Give back a reservation whose account does not exist."`
	Drift   signupDriftCmd   `cmd:"" help:"Compare every counter with the rows that it counts."`
}

type signupConfirmCmd struct {
	ID string `arg:"" help:"The reservation's id, as listed."`
}

// Help implements kong's longer help.
func (signupConfirmCmd) Help() string {
	return `An unbacked account takes a slot of its own day, if one is free by now. Exit code 1: there is none.

  gantry signup list --state unbacked
  gantry signup confirm apegp6bwst6luygmcv6o`
}

// Run implements the command.
func (c *signupConfirmCmd) Run(e *env, parent *signupCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	r, err := cl.Confirm(e.ctx, c.ID)
	return printReservation(e, r, err)
}

type signupReleaseCmd struct {
	ID string `arg:"" help:"The reservation's id, as listed."`
}

// Help implements kong's longer help.
func (signupReleaseCmd) Help() string {
	return `Frees the slot and the invite use of an open reservation, and settles an unbacked account that you removed.

  gantry signup release apegp6bwst6luygmcv6o`
}

// Run implements the command.
func (c *signupReleaseCmd) Run(e *env, parent *signupCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	r, err := cl.Release(e.ctx, c.ID)
	return printReservation(e, r, err)
}

func printReservation(e *env, r api.Reservation, err error) error {
	switch {
	case err != nil:
		return err
	case e.json:
		return printJSON(e.stdio.Out, r)
	}
	_, err = fmt.Fprintf(e.stdio.Out, "%s is %s and counts on %s.\n", r.ID, r.State, r.Day)
	return err
}

type signupCheckCmd struct {
	Country string `help:"Stated country, ISO 3166-1." placeholder:"PL"`
	Invite  string `help:"Invite code. Arguments are visible to other users." placeholder:"CODE"`
	User    string `help:"The user's id." placeholder:"ID"`
	Email   string `help:"The user's e-mail address." placeholder:"ADDRESS"`
	IP      string `name:"ip" help:"The client's address." placeholder:"ADDRESS"`
	Device  string `help:"The device's id." placeholder:"ID"`
}

// Help implements kong's longer help.
func (signupCheckCmd) Help() string {
	return `It takes no slot; a wrong code counts, if --ip, --device or --user is given. Exit code 0: allowed. 1: refused.

  gantry signup check --country PL --invite K7QPD-2M9XA --email ada@example.com`
}

// Run implements the command.
func (c *signupCheckCmd) Run(e *env, parent *signupCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	v, err := cl.Eligibility(e.ctx, api.EligibilityRequest{Country: c.Country, InviteCode: c.Invite, UserID: c.User, Email: c.Email, IP: c.IP, Device: c.Device})
	if err != nil {
		return err
	}
	switch {
	case e.json:
		err = printJSON(e.stdio.Out, v)
	case v.Allowed:
		_, err = fmt.Fprintf(e.stdio.Out, "allowed in %s\n", v.Mode)
	default:
		_, err = fmt.Fprintf(e.stdio.Out, "refused: %s in %s\n%s\n%s\n", v.Code, v.Mode, v.Message, c.next(v))
	}
	if err == nil && !v.Allowed {
		err = errNo
	}
	return err
}

// next says what an operator can do about a refusal.
func (c *signupCheckCmd) next(v api.Eligibility) string {
	d, _ := v.Details.(api.SignupRefusedDetails)
	switch v.Code {
	case api.CodeCountryNotAllowed:
		return nextCountry(v, d)
	case api.CodeLaunchModeRestricted:
		switch {
		case c.Email != "":
			return "To admit them: gantry allowlist add email " + quote(c.Email)
		case c.User != "":
			return "To admit them: gantry allowlist add user " + quote(c.User)
		}
		return "Say who it is: --email or --user."
	case api.CodeInviteCodeRequired:
		return "Give the code with --invite. To make one: gantry invite create"
	case api.CodeInviteCodeInvalid:
		return "It may be mistyped, expired, revoked, or bound to another country or address: gantry invite list"
	case api.CodeInviteCodeDepleted:
		return "To make another: gantry invite create"
	case api.CodeDailyLimitReached:
		if d.Country != "" {
			return fmt.Sprintf("%d of %d slots for %s are taken; the next day opens at %s. To admit more: gantry phase set %s --country-cap %s=N --reason …", d.Actual, d.Limit, d.Country, stamp(d.OpensAt), v.Mode, d.Country)
		}
		return fmt.Sprintf("%d of %d slots are taken; the next day opens at %s. To admit more: gantry phase set %s --cap N --reason …", d.Actual, d.Limit, stamp(d.OpensAt), v.Mode)
	case api.CodeSystemMaintenance:
		return "It ends by itself at " + stamp(d.Until) + ". To end it now: gantry maintenance off --reason …"
	case api.CodeRateLimited:
		if r, ok := v.Details.(api.RateLimitedDetails); ok {
			return fmt.Sprintf("This %s holds %d open reservations of at most %d; the first ends at %s.", r.Scope, r.Actual-1, r.Limit, stamp(&r.ResetAt))
		}
	case api.CodeConflict:
		return "Look at their reservations: gantry signup list --user ID"
	}
	return "See what the code means: GET /v1/errors"
}

func nextCountry(v api.Eligibility, d api.SignupRefusedDetails) string {
	switch d.Problem {
	case "blocked":
		return "To unblock it: gantry launch settings --unblock " + d.Country + " --reason …"
	case "not open":
		return "Open are: " + places(v.AllowedCountries) + ". To change that: gantry phase set " + v.Mode + " --countries … --reason …"
	case "address unknown", "address disagrees":
		return "The stated country must be that of --ip (gantry launch settings)."
	}
	return "Give --country as an ISO 3166-1 code such as PL."
}

type signupCountsCmd struct {
	Day string `help:"Like 2026-11-24. Default: today in the settings' time zone." placeholder:"DAY"`
}

// Help implements kong's longer help.
func (signupCountsCmd) Help() string { return "  gantry signup counts --day 2026-11-24" }

// Run implements the command.
func (c *signupCountsCmd) Run(e *env, parent *signupCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	v, err := cl.SignupCounts(e.ctx, c.Day)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, v)
	}
	ends := ""
	if v.EndsAt != nil {
		ends = ", ends at " + stamp(v.EndsAt)
	}
	fmt.Fprintf(e.stdio.Out, "%s in %s%s\n", v.Day, v.TimeZone, ends)
	rows := [][]string{countRow("all", v.Total)}
	for _, n := range v.Countries {
		rows = append(rows, countRow(n.Country, n))
	}
	return table(e.stdio.Out, []string{"COUNTRY", "CONFIRMED", "OPEN", "CAP", "LEFT"}, rows)
}

func countRow(name string, n api.SignupCount) []string {
	return []string{name, strconv.FormatInt(n.Confirmed, 10), strconv.FormatInt(n.Open, 10), bound(n.Cap), bound(n.Remaining)}
}

type signupListCmd struct {
	State string `enum:",open,confirmed,released,expired,revoked,unbacked" default:"" help:"Only those in this state: open, confirmed, released, expired, revoked; unbacked: accounts without a slot." placeholder:"STATE"`
	Day   string `help:"Only those that count on this day." placeholder:"DAY"`
	User  string `help:"Only this user's." placeholder:"ID"`
	Limit int    `default:"100" help:"At most this many rows."`
}

// Help implements kong's longer help.
func (signupListCmd) Help() string { return "Newest first.\n\n  gantry signup list --state unbacked" }

// Run implements the command.
func (c *signupListCmd) Run(e *env, parent *signupCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	rs, err := cl.Signups(e.ctx, client.SignupQuery{State: c.State, Day: c.Day, UserID: c.User, Limit: c.Limit})
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"signups": rs})
	}
	var rows [][]string
	for _, r := range rs {
		rows = append(rows, []string{r.ID, r.State, r.Day, or(r.Country, "-"), r.Mode, or(r.UserID, "-"), or(r.InviteID, "-"), r.Source, stamp(&r.CreatedAt), stamp(&r.ExpiresAt)})
	}
	return table(e.stdio.Out, []string{"ID", "STATE", "DAY", "COUNTRY", "MODE", "USER", "INVITE", "SOURCE", "CREATED", "EXPIRES"}, rows)
}

type signupDriftCmd struct{}

// Help implements kong's longer help.
func (signupDriftCmd) Help() string {
	return "Exit code 0: all agree. 1: some do not, which is a bug to report.\n\n  gantry signup drift"
}

// Run implements the command.
func (signupDriftCmd) Run(e *env, parent *signupCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ds, err := cl.SignupDrift(e.ctx)
	if err != nil {
		return err
	}
	err = printDrift(e, ds)
	if err == nil && len(ds) > 0 {
		err = errNo
	}
	return err
}

func printDrift(e *env, ds []api.SignupDrift) error {
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"drift": ds})
	}
	if len(ds) == 0 {
		_, err := fmt.Fprintln(e.stdio.Out, "Every counter agrees with its rows.")
		return err
	}
	var rows [][]string
	for _, d := range ds {
		rows = append(rows, []string{or(d.Day, "-"), or(d.Country, "all"), or(d.State, "-"), or(d.Invite, "-"), strconv.FormatInt(d.Counted, 10), strconv.FormatInt(d.Rows, 10)})
	}
	return table(e.stdio.Out, []string{"DAY", "COUNTRY", "STATE", "INVITE", "COUNTED", "ROWS"}, rows)
}
