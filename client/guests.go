package client

import (
	"context"
	"net/http"
	"net/url"

	"avalo.app/gantry/api"
)

// CreateInvites makes invite codes; they cannot be had again. The codes are
// empty if the first answer was lost on the way and a repetition brought the
// stored one, which has none: revoke that batch and create another. Role
// admin.
func (c *Client) CreateInvites(ctx context.Context, r api.InviteRequest) (api.NewInvites, error) {
	var out api.NewInvites
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/invites", body: r, out: &out, repeats: keyed})
	return out, err
}

// Invites returns at most limit invites, newest first, without their codes:
// of one batch, or with "" of all. A limit of 0 is the server's, 100. Role
// admin.
func (c *Client) Invites(ctx context.Context, batch string, limit int) ([]api.Invite, error) {
	var out struct {
		Invites []api.Invite `json:"invites"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/invites", out: &out, repeats: safe, query: params("batch", batch, "limit", number(limit))})
	return out.Invites, err
}

// RevokeInvites ends the invite of an id, or a batch of them, and returns how
// many ended. Reservations made with them stay. Role admin.
func (c *Client) RevokeInvites(ctx context.Context, id, reason string) (int64, error) {
	var out struct {
		Revoked int64 `json:"revoked"`
	}
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/invites/" + url.PathEscape(id), query: params("reason", reason), out: &out, repeats: keyed})
	return out.Revoked, err
}

// ClaimInvite lets an e-mail address sign up with a code later, where the
// signup itself cannot carry one, such as in a hook. It takes no use of the
// code, and a second claim replaces the first. A request without an answer is
// sent again. Role app.
func (c *Client) ClaimInvite(ctx context.Context, r api.ClaimInviteRequest) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/invites/claim", body: r, repeats: unanswered})
	return err
}

// AddAllowlist names who may sign up in INTERNAL_TEST, and returns how many
// entries are new. Role admin.
func (c *Client) AddAllowlist(ctx context.Context, entries ...api.AllowlistEntry) (int64, error) {
	var out struct {
		Added int64 `json:"added"`
	}
	body := struct {
		Entries []api.AllowlistEntry `json:"entries"`
	}{entries}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/allowlist", body: body, out: &out, repeats: keyed})
	return out.Added, err
}

// Allowlist returns at most limit entries in the order of their ids: those
// after an id, or with "" the first. A limit of 0 is the server's, 100. Role
// admin.
func (c *Client) Allowlist(ctx context.Context, after string, limit int) ([]api.AllowlistEntry, error) {
	var out struct {
		Entries []api.AllowlistEntry `json:"entries"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/allowlist", out: &out, repeats: safe, query: params("after", after, "limit", number(limit))})
	return out.Entries, err
}

// RemoveAllowlist removes an entry; who has signed up stays. Role admin.
func (c *Client) RemoveAllowlist(ctx context.Context, id, reason string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/allowlist/" + url.PathEscape(id), query: params("reason", reason), repeats: keyed})
	return err
}

// JoinWaitlist puts somebody on the waitlist whose signup is refused, and
// returns the place. Joining again returns the same one. CONFLICT: signup is
// open to them. A request without an answer is sent again. Role app.
func (c *Client) JoinWaitlist(ctx context.Context, r api.WaitlistRequest) (api.WaitlistPlace, error) {
	var out api.WaitlistPlace
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/waitlist", body: r, out: &out, repeats: unanswered})
	return out, err
}

// WaitlistQuery selects who waits. Zero fields select everyone who was not
// invited yet; at most 100 rows, or Limit (at most 1000).
type WaitlistQuery struct {
	Country string // ISO 3166-1 alpha-2
	Invited bool   // those invited already, too
	Limit   int    // rows
}

// Waitlist returns who waits, in the order of joining. Role admin.
func (c *Client) Waitlist(ctx context.Context, q WaitlistQuery) ([]api.WaitlistEntry, error) {
	var out struct {
		Entries []api.WaitlistEntry `json:"entries"`
	}
	invited := ""
	if q.Invited {
		invited = "true"
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/waitlist", out: &out, repeats: safe,
		query: params("country", q.Country, "invited", invited, "limit", number(q.Limit))})
	return out.Entries, err
}

// InviteWaiting makes codes for the next who wait, each bound to its address;
// they cannot be had again, see CreateInvites. Role admin.
func (c *Client) InviteWaiting(ctx context.Context, r api.WaitlistInviteRequest) (api.NewInvites, error) {
	var out api.NewInvites
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/waitlist/invite", body: r, out: &out, repeats: keyed})
	return out, err
}

// LeaveWaitlist removes an entry. Role admin.
func (c *Client) LeaveWaitlist(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/waitlist/" + url.PathEscape(id), repeats: keyed})
	return err
}
