package httpapi

import (
	"context"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/audit"
)

// AuditReader is what the audit routes read; the store implements it, and
// tests of the routes do.
type AuditReader interface {
	// ListAudit returns matching events, newest first.
	ListAudit(ctx context.Context, f audit.Filter) ([]audit.Event, error)
	// AuditEntry returns one event with its proof; NOT_FOUND beyond the log.
	AuditEntry(ctx context.Context, index int64) (audit.Proven, error)
}

type auditInput struct {
	Kind   string    `query:"kind" maxLength:"64" doc:"Only this kind of event"`
	Object string    `query:"object" maxLength:"512" doc:"Only events about exactly this object"`
	Since  time.Time `query:"since" doc:"From this moment (RFC 3339), inclusive"`
	Before int64     `query:"before" minimum:"0" doc:"Only indexes below it: the cursor of the next page"`
	Limit  int       `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most this many"`
}

type auditOutput struct {
	Body struct {
		Entries []api.AuditEntry `json:"entries"`
	}
}

func (s *Server) listAudit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	events, err := s.d.Audit.ListAudit(ctx, audit.Filter{Kind: audit.Kind(in.Kind), Object: in.Object, Since: in.Since, Before: in.Before, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &auditOutput{}
	out.Body.Entries = make([]api.AuditEntry, len(events))
	for i, e := range events {
		out.Body.Entries[i] = auditOut(e)
	}
	return out, nil
}

type proofInput struct {
	Index int64 `path:"index" minimum:"0" doc:"The entry's place in the log"`
}

type proofOutput struct{ Body api.AuditProof }

func (s *Server) proveAudit(ctx context.Context, in *proofInput) (*proofOutput, error) {
	p, err := s.d.Audit.AuditEntry(ctx, in.Index)
	if err != nil {
		return nil, err
	}
	out := api.AuditProof{Entry: auditOut(p.Event), Leaf: p.Leaf, Salt: p.Salt, Private: p.Private, Size: p.Size,
		Path: [][]byte{}, Checkpoint: p.Checkpoint}
	for _, h := range p.Proof {
		out.Path = append(out.Path, h[:])
	}
	return &proofOutput{Body: out}, nil
}

func auditOut(e audit.Event) api.AuditEntry {
	return api.AuditEntry{Index: e.Index, Kind: string(e.Kind), At: e.At, Actor: e.Actor, Object: e.Object, Reason: e.Reason, Before: e.Before, After: e.After}
}
