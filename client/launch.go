package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"avalo.app/gantry/api"
)

// LaunchMode returns the mode in force, as Gantry last read it: see its
// AgeSeconds. It needs no key.
func (c *Client) LaunchMode(ctx context.Context) (api.LaunchMode, error) {
	var out api.LaunchMode
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/launch/mode", out: &out, repeats: safe})
	return out, err
}

// SetLaunchMode moves to another mode. Set IfVersion to the version that you
// decided on; CONFLICT means that the mode has moved on, or that something
// must be done first: its details are then an api.PreconditionDetails. Role
// admin.
func (c *Client) SetLaunchMode(ctx context.Context, r api.SetLaunchModeRequest) (api.Transition, error) {
	var out api.Transition
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/v1/launch/mode", body: r, out: &out, repeats: keyed})
	return out, err
}

// LaunchHistory returns at most limit transitions, newest first: those before
// the version, or with 0 the newest. A limit of 0 is the server's, 100. Role
// moderator.
func (c *Client) LaunchHistory(ctx context.Context, before int64, limit int) ([]api.Transition, error) {
	var out struct {
		History []api.Transition `json:"history"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/launch/history", out: &out, repeats: safe,
		query: params("before", number(int(before)), "limit", number(limit))})
	return out.History, err
}

// RequestLaunchOverride asks a second admin to let a move pass the readiness
// gate. It binds exactly this move: make it with the same words, the
// override's FromVersion, and its ID. Role admin.
func (c *Client) RequestLaunchOverride(ctx context.Context, r api.SetLaunchModeRequest) (api.LaunchOverride, error) {
	var out api.LaunchOverride
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/launch/overrides", body: r, out: &out, repeats: keyed})
	return out, err
}

// ApproveLaunchOverride consents to what another admin asked for. Role admin.
func (c *Client) ApproveLaunchOverride(ctx context.Context, id string) (api.LaunchOverride, error) {
	var out api.LaunchOverride
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/launch/overrides/" + url.PathEscape(id) + "/approve", out: &out, repeats: keyed})
	return out, err
}

// LaunchOverrides returns at most limit overrides, newest first; 0 is the
// server's limit, 100. Role admin.
func (c *Client) LaunchOverrides(ctx context.Context, limit int) ([]api.LaunchOverride, error) {
	var out struct {
		Overrides []api.LaunchOverride `json:"overrides"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/launch/overrides", out: &out, repeats: safe, query: params("limit", number(limit))})
	return out.Overrides, err
}

// LaunchPhases returns the phase of every mode, from closed to open. Role
// moderator.
func (c *Client) LaunchPhases(ctx context.Context) ([]api.LaunchPhaseInfo, error) {
	var out struct {
		Phases []api.LaunchPhaseInfo `json:"phases"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/launch/phases", out: &out, repeats: safe})
	return out.Phases, err
}

// SetLaunchPhase puts a mode's phase in force, whatever was before. Role
// admin.
func (c *Client) SetLaunchPhase(ctx context.Context, mode string, p api.LaunchPhase, reason string) (api.LaunchPhaseInfo, error) {
	return c.setLaunchPhase(ctx, mode, p, params("reason", reason))
}

// ReplaceLaunchPhase puts p in force if nobody changed the phase since p was
// read; else the error is CONFLICT, and nothing is changed. Role admin.
func (c *Client) ReplaceLaunchPhase(ctx context.Context, p api.LaunchPhaseInfo, reason string) (api.LaunchPhaseInfo, error) {
	return c.setLaunchPhase(ctx, p.Mode, p.LaunchPhase, params("reason", reason, "ifVersion", strconv.FormatInt(p.Version, 10)))
}

func (c *Client) setLaunchPhase(ctx context.Context, mode string, p api.LaunchPhase, query url.Values) (api.LaunchPhaseInfo, error) {
	var out api.LaunchPhaseInfo
	if p.Countries == nil {
		p.Countries = []string{} // Gantry wants a list
	}
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/v1/launch/phases/" + url.PathEscape(mode), query: query, body: p, out: &out, repeats: keyed})
	return out, err
}

// LaunchSettings returns what holds for every mode. Role moderator.
func (c *Client) LaunchSettings(ctx context.Context) (api.LaunchSettings, error) {
	var out api.LaunchSettings
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/launch/settings", out: &out, repeats: safe})
	return out, err
}

// SetLaunchSettings puts settings in force, whatever was before. Role admin.
func (c *Client) SetLaunchSettings(ctx context.Context, s api.LaunchSettings, reason string) (api.LaunchSettings, error) {
	return c.setLaunchSettings(ctx, s, params("reason", reason))
}

// ReplaceLaunchSettings puts s in force if nobody changed the settings since
// s was read; else the error is CONFLICT, and nothing is changed. Role admin.
func (c *Client) ReplaceLaunchSettings(ctx context.Context, s api.LaunchSettings, reason string) (api.LaunchSettings, error) {
	return c.setLaunchSettings(ctx, s, params("reason", reason, "ifVersion", strconv.FormatInt(s.Version, 10)))
}

func (c *Client) setLaunchSettings(ctx context.Context, s api.LaunchSettings, query url.Values) (api.LaunchSettings, error) {
	var out api.LaunchSettings
	if s.BlockedCountries == nil {
		s.BlockedCountries = []string{}
	}
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/v1/launch/settings", query: query, body: s, out: &out, repeats: keyed})
	return out, err
}

// Maintenance returns the maintenance in force; on is false, and m zero, when
// there is none. It needs no key.
func (c *Client) Maintenance(ctx context.Context) (m api.Maintenance, on bool, err error) {
	return c.maintenance(ctx, call{method: http.MethodGet, repeats: safe})
}

// StartMaintenance closes signups, gates and flags until a moment, or moves
// the end of the one in force. Role admin.
func (c *Client) StartMaintenance(ctx context.Context, r api.MaintenanceRequest) (api.Maintenance, error) {
	m, _, err := c.maintenance(ctx, call{method: http.MethodPut, body: r, repeats: keyed})
	return m, err
}

func (c *Client) maintenance(ctx context.Context, k call) (api.Maintenance, bool, error) {
	var out struct {
		On bool `json:"on"`
		api.Maintenance
	}
	k.path, k.out = "/v1/maintenance", &out
	_, err := c.do(ctx, k)
	return out.Maintenance, out.On, err
}

// EndMaintenance ends the maintenance now. Role admin.
func (c *Client) EndMaintenance(ctx context.Context, reason string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/maintenance", query: params("reason", reason), repeats: keyed})
	return err
}
