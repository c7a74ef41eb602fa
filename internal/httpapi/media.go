package httpapi

import (
	"context"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/walk"
)

type validateMediaInput struct{ Body api.MediaMetadata }
type validateMediaOutput struct{ Body api.MediaValidation }

func (s *Server) validateMedia(ctx context.Context, in *validateMediaInput) (*validateMediaOutput, error) {
	b := in.Body
	m, err := s.d.Media.Validate(ctx, b.UserID, media.Declared{Name: b.Filename, MIME: b.MIMEType, Size: b.Size})
	out := &validateMediaOutput{Body: api.MediaValidation{Allowed: err == nil, Filename: m.Filename, MIMEType: m.Type.MIME, Class: string(m.Type.Class), MaxFileSize: m.MaxSize}}
	if err != nil {
		if !media.Refuses(fault.CodeOf(err)) {
			return nil, err
		}
		p := s.problem(callerOf(ctx), err)
		out.Body.Code, out.Body.Message, out.Body.Details = p.Code, p.Message, p.Details
	}
	return out, nil
}

type mediaTypesOutput struct {
	Body struct {
		Types []api.MediaType `json:"types"`
	}
}

func (s *Server) mediaTypes(context.Context, *struct{}) (*mediaTypesOutput, error) {
	out, p := &mediaTypesOutput{}, s.d.Media.Policy()
	out.Body.Types = mapped(p.Types(), func(t media.Type) api.MediaType {
		return api.MediaType{MIMEType: t.MIME, Class: string(t.Class), Extension: t.Extension, Aliases: t.Aliases, MaxFileSize: p.MaxSize[t.Class]}
	})
	return out, nil
}

type mediaUploadOutput struct{ Body api.MediaUpload }

func (s *Server) getUpload(ctx context.Context, in *IDPath) (*mediaUploadOutput, error) {
	u, err := s.d.Media.Upload(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &mediaUploadOutput{Body: uploadOut(u)}, nil
}

func (s *Server) deleteUpload(ctx context.Context, in *IDPath) (*struct{}, error) {
	return nil, s.d.Media.Delete(ctx, in.ID)
}

type presignInput struct{ Body api.MediaMetadata }
type presignOutput struct{ Body api.MediaPresigned }

func (s *Server) presignUpload(ctx context.Context, in *presignInput) (*presignOutput, error) {
	b := in.Body
	if err := s.d.Media.Charge(ctx, b.UserID); err != nil {
		return nil, err
	}
	p, err := s.d.Media.Presign(ctx, b.UserID, media.Declared{Name: b.Filename, MIME: b.MIMEType, Size: b.Size})
	if err != nil {
		return nil, err
	}
	return &presignOutput{Body: api.MediaPresigned{ID: p.ID, URL: p.URL, Headers: p.Headers, ExpiresAt: p.Expires}}, nil
}

func (s *Server) verifyUpload(ctx context.Context, in *IDPath) (*mediaUploadOutput, error) {
	u, err := s.d.Media.Verify(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &mediaUploadOutput{Body: uploadOut(u)}, nil
}

func uploadOut(u media.Upload) api.MediaUpload {
	return api.MediaUpload{ID: u.ID, UserID: u.Owner, State: string(u.State), Filename: u.Name, Path: u.Object.Key, MIMEType: u.Object.MIME, Size: u.Size,
		StoredSize: u.Object.Stored, SHA256: u.Object.SHA256, Scanned: string(u.Scanned), CreatedAt: u.CreatedAt.UTC(), VerifiedAt: optional(u.VerifiedAt)}
}

func verdictOut(v media.Verdict, scanned media.Scan) api.MediaVerdict {
	return api.MediaVerdict{Filename: v.Name, MIMEType: v.MIME, Declared: v.Declared, Class: string(v.Type.Class), Size: v.Size, Stored: v.Stored, SHA256: v.SHA256,
		Width: v.Info.Width, Height: v.Info.Height, Frames: v.Info.Frames, Scanned: string(scanned), Parts: mapped(v.Info.Parts, func(p walk.Part) api.MediaPart {
			return api.MediaPart{Offset: p.Offset, Length: p.Length, What: p.What, Fate: string(p.Fate)}
		})}
}

type refusalsInput struct {
	Page
	UserID string    `query:"userId" maxLength:"128" doc:"Only this user's"`
	Code   string    `query:"code" maxLength:"64" doc:"Only this code"`
	Since  time.Time `query:"since" doc:"Only those at or after this moment"`
}
type refusalsOutput struct {
	Body struct {
		Refusals []api.MediaRefusal `json:"refusals" doc:"Newest first"`
	}
}

func (s *Server) listRefusals(ctx context.Context, in *refusalsInput) (*refusalsOutput, error) {
	f := media.RefusalFilter{Code: fault.Code(in.Code), Since: in.Since, Limit: in.Limit}
	if in.UserID != "" {
		f.OwnerHash = s.d.Media.OwnerHash(in.UserID)
	}
	rs, err := s.d.Media.Refusals(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &refusalsOutput{}
	out.Body.Refusals = mapped(rs, func(r media.Refusal) api.MediaRefusal {
		return api.MediaRefusal{ID: r.ID, At: r.At, OwnerHash: r.OwnerHash, Flow: r.Flow, Code: api.Code(r.Code), Reason: r.Reason, Declared: r.Declared,
			Detected: r.Detected, Limit: r.Limit, Actual: r.Actual}
	})
	return out, nil
}

type validateUploadData struct {
	Filename string `json:"filename"`
	MIMEType string `json:"mimeType"`
	Size     int64  `json:"size"`
	UserID   string `json:"userId"`
}

// legacyValidation is validateMediaUpload's answer.
type legacyValidation struct {
	Allowed     bool   `json:"allowed"`
	Reason      string `json:"reason,omitempty"`
	Filename    string `json:"sanitizedFilename,omitempty"`
	MaxFileSize int64  `json:"maxFileSize,omitempty"`
}

func (s *Server) callValidateMedia(ctx context.Context, in validateUploadData) (any, error) {
	m, err := s.d.Media.Validate(ctx, in.UserID, media.Declared{Name: in.Filename, MIME: in.MIMEType, Size: in.Size})
	out := legacyValidation{Allowed: err == nil, Filename: m.Filename, MaxFileSize: m.MaxSize}
	if err != nil {
		if !media.Refuses(fault.CodeOf(err)) {
			return nil, err
		}
		out.Reason = string(fault.CodeOf(err))
	}
	return out, nil
}

type verifyUploadData struct {
	Path     string `json:"path"` // the upload's id
	UserID   string `json:"userId"`
	MIMEType string `json:"mimeType"`
}

// callVerifyUpload answers true if the upload is verified, or passes now.
func (s *Server) callVerifyUpload(ctx context.Context, in verifyUploadData) (any, error) {
	u, err := s.d.Media.Verify(ctx, in.Path)
	switch code := fault.CodeOf(err); {
	case err != nil && (media.Refuses(code) || code == fault.NotFound || code == fault.Conflict || code == fault.InvalidArgument):
		return false, nil
	case err != nil:
		return nil, err
	}
	return (in.UserID == "" || in.UserID == u.Owner) && (media.Undeclared(in.MIMEType) || media.CanonicalMIME(in.MIMEType) == u.Object.MIME), nil
}
