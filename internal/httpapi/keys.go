package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
)

type keysOutput struct {
	Body struct {
		Keys []api.Key `json:"keys"`
	}
}

func (s *Server) listKeys(ctx context.Context, _ *struct{}) (*keysOutput, error) {
	keys, err := s.d.Access.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &keysOutput{}
	out.Body.Keys = make([]api.Key, len(keys))
	for i, k := range keys {
		out.Body.Keys[i] = keyOut(k)
	}
	return out, nil
}

type createKeyInput struct{ Body api.CreateKeyRequest }
type createKeyOutput struct{ Body api.CreatedKey }

func (s *Server) createKey(ctx context.Context, in *createKeyInput) (*createKeyOutput, error) {
	spec := access.KeySpec{Role: access.Role(in.Body.Role), Label: in.Body.Label, Owner: in.Body.Owner}
	if in.Body.ExpiresAt != nil {
		spec.ExpiresAt = *in.Body.ExpiresAt
	}
	key, secret, err := s.d.Access.Create(ctx, spec, callerOf(ctx).principal.ID)
	if err != nil {
		return nil, err
	}
	return &createKeyOutput{Body: api.CreatedKey{Key: keyOut(key), Secret: secret}}, nil
}

// withoutSecret is a created key as it may be kept for replay.
func withoutSecret(body []byte) ([]byte, error) {
	var k api.CreatedKey
	if err := json.Unmarshal(body, &k); err != nil {
		return nil, err
	}
	k.Secret = ""
	return json.Marshal(k)
}

type revokeKeyInput struct {
	ID     string `path:"id" maxLength:"64" doc:"The key's id"`
	Reason string `query:"reason" maxLength:"500" doc:"Why, for the audit log"`
}

func (s *Server) revokeKey(ctx context.Context, in *revokeKeyInput) (*struct{}, error) {
	return nil, s.d.Access.Revoke(ctx, in.ID, callerOf(ctx).principal.ID, in.Reason)
}

func keyOut(k access.Key) api.Key {
	return api.Key{ID: k.ID, Role: string(k.Role), Label: k.Label, Owner: k.Owner, CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt,
		ExpiresAt: optional(k.ExpiresAt), LastUsedAt: optional(k.LastUsedAt), RevokedAt: optional(k.RevokedAt), Bootstrap: k.Bootstrap}
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
