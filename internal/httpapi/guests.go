package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/launch"
)

type createInvitesInput struct{ Body api.InviteRequest }
type newInvitesOutput struct{ Body api.NewInvites }

func (s *Server) createInvites(ctx context.Context, in *createInvitesInput) (*newInvitesOutput, error) {
	b := in.Body
	spec := launch.InviteSpec{Count: b.Count, MaxUses: b.MaxUses, Country: b.Country, Email: b.Email, Note: b.Note, ExpiresAt: moment(b.ExpiresAt)}
	if spec.Count == 0 {
		spec.Count = 1
	}
	made, err := s.d.Guests.Invite(ctx, spec, actor(ctx))
	if err != nil {
		return nil, err
	}
	return &newInvitesOutput{Body: newInvitesOut(made)}, nil
}

// moment is an optional time; absent is the zero time.
func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func newInvitesOut(made []launch.NewInvite) api.NewInvites {
	out := api.NewInvites{Invites: mapped(made, func(i launch.NewInvite) api.NewInvite {
		return api.NewInvite{Invite: inviteOut(i.Invite), Code: i.Code, Email: i.Email}
	})}
	if len(made) > 0 {
		out.Batch = made[0].Batch
	}
	return out
}

func inviteOut(i launch.Invite) api.Invite {
	return api.Invite{ID: i.ID, Batch: i.Batch, MaxUses: i.MaxUses, Used: i.Used, Country: i.Country, Bound: i.EmailHash != "", Note: i.Note,
		CreatedBy: i.CreatedBy, CreatedAt: i.CreatedAt, ExpiresAt: optional(i.ExpiresAt), RevokedAt: optional(i.RevokedAt)}
}

// withoutCodes is an answer with invites as it may be kept for replay.
func withoutCodes(body []byte) ([]byte, error) {
	var n api.NewInvites
	if err := json.Unmarshal(body, &n); err != nil {
		return nil, err
	}
	for i := range n.Invites {
		n.Invites[i].Code, n.Invites[i].Email = "", ""
	}
	return json.Marshal(n)
}

type invitesInput struct {
	Page
	Batch string `query:"batch" maxLength:"64" doc:"Only those of this batch"`
}
type invitesOutput struct {
	Body struct {
		Invites []api.Invite `json:"invites" doc:"Newest first, without their codes"`
	}
}

func (s *Server) listInvites(ctx context.Context, in *invitesInput) (*invitesOutput, error) {
	is, err := s.d.Guests.Invites(ctx, in.Batch, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &invitesOutput{}
	out.Body.Invites = mapped(is, inviteOut)
	return out, nil
}

type revokeInvitesInput struct {
	IDPath
	Reason string `query:"reason" maxLength:"500" doc:"Why, for the audit log"`
}
type revokedOutput struct {
	Body struct {
		Revoked int64 `json:"revoked" doc:"How many invites ended"`
	}
}

func (s *Server) revokeInvites(ctx context.Context, in *revokeInvitesInput) (*revokedOutput, error) {
	n, err := s.d.Guests.Revoke(ctx, in.ID, actor(ctx), in.Reason)
	if err != nil {
		return nil, err
	}
	out := &revokedOutput{}
	out.Body.Revoked = n
	return out, nil
}

type claimInput struct{ Body api.ClaimInviteRequest }

func (s *Server) claimInvite(ctx context.Context, in *claimInput) (*struct{}, error) {
	b := in.Body
	return nil, s.d.Guests.Claim(ctx, launch.Application{InviteCode: b.InviteCode, Email: b.Email, Country: b.Country, IP: b.IP, Device: b.Device})
}

type allowInput struct {
	Body struct {
		Entries []api.AllowlistEntry `json:"entries" maxItems:"1000" doc:"Those that are listed already stay as they are"`
	}
}
type allowedOutput struct {
	Body struct {
		Added int64 `json:"added" doc:"How many are new"`
	}
}

func (s *Server) addAllowlist(ctx context.Context, in *allowInput) (*allowedOutput, error) {
	n, err := s.d.Guests.Allow(ctx, mapped(in.Body.Entries, func(e api.AllowlistEntry) launch.Listed {
		return launch.Listed{Kind: launch.ListKind(e.Kind), Value: e.Value, Note: e.Note}
	}), actor(ctx))
	if err != nil {
		return nil, err
	}
	out := &allowedOutput{}
	out.Body.Added = n
	return out, nil
}

type allowlistInput struct {
	Page
	After string `query:"after" maxLength:"64" doc:"Only entries after this id: the last one of the page before"`
}
type allowlistOutput struct {
	Body struct {
		Entries []api.AllowlistEntry `json:"entries" doc:"In the order of their ids"`
	}
}

func (s *Server) listAllowlist(ctx context.Context, in *allowlistInput) (*allowlistOutput, error) {
	ls, err := s.d.Guests.Allowlist(ctx, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &allowlistOutput{}
	out.Body.Entries = mapped(ls, func(l launch.Listed) api.AllowlistEntry {
		return api.AllowlistEntry{ID: l.ID, Kind: string(l.Kind), Value: l.Value, Note: l.Note, AddedBy: l.AddedBy, AddedAt: l.AddedAt}
	})
	return out, nil
}

func (s *Server) removeAllowlist(ctx context.Context, in *revokeInvitesInput) (*struct{}, error) {
	return nil, s.d.Guests.Disallow(ctx, in.ID, actor(ctx), in.Reason)
}

type joinInput struct{ Body api.WaitlistRequest }
type placeOutput struct{ Body api.WaitlistPlace }

func (s *Server) joinWaitlist(ctx context.Context, in *joinInput) (*placeOutput, error) {
	b := in.Body
	w, err := s.d.Guests.Join(ctx, launch.Application{Email: b.Email, Country: b.Country, IP: b.IP, Device: b.Device})
	if err != nil {
		return nil, err
	}
	return &placeOutput{Body: placeOut(w)}, nil
}

func placeOut(w launch.Waiting) api.WaitlistPlace {
	return api.WaitlistPlace{ID: w.ID, Position: w.Position, JoinedAt: w.JoinedAt}
}

type waitlistInput struct {
	Page
	Country string `query:"country" maxLength:"3" doc:"Only those of this country"`
	Invited bool   `query:"invited" doc:"Those invited already, too"`
}
type waitlistOutput struct {
	Body struct {
		Entries []api.WaitlistEntry `json:"entries" doc:"In the order of joining"`
	}
}

func (s *Server) listWaitlist(ctx context.Context, in *waitlistInput) (*waitlistOutput, error) {
	ws, err := s.d.Guests.Waitlist(ctx, in.Invited, in.Country, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &waitlistOutput{}
	out.Body.Entries = mapped(ws, func(w launch.Waiting) api.WaitlistEntry {
		return api.WaitlistEntry{WaitlistPlace: placeOut(w), Email: w.Email, Country: w.Country, Refused: w.Refused, InvitedAt: optional(w.InvitedAt), InviteID: w.InviteID}
	})
	return out, nil
}

type inviteWaitingInput struct{ Body api.WaitlistInviteRequest }

func (s *Server) inviteWaiting(ctx context.Context, in *inviteWaitingInput) (*newInvitesOutput, error) {
	b := in.Body
	made, err := s.d.Guests.InviteWaiting(ctx, launch.InviteSpec{Count: b.Count, Country: b.Country, Note: b.Note, ExpiresAt: moment(b.ExpiresAt)}, actor(ctx))
	if err != nil {
		return nil, err
	}
	return &newInvitesOutput{Body: newInvitesOut(made)}, nil
}

func (s *Server) leaveWaitlist(ctx context.Context, in *IDPath) (*struct{}, error) {
	return nil, s.d.Guests.Leave(ctx, in.ID)
}
