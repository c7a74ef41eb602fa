package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"avalo.app/gantry/api"
)

// ValidateMedia judges a file by its name, type and size, before its bytes. A
// refusal is an answer, not an error: its Details are an api.InvalidDetails,
// or nil. What passes is judged again by its bytes. Role app.
func (c *Client) ValidateMedia(ctx context.Context, m api.MediaMetadata) (api.MediaValidation, error) {
	var out struct {
		api.MediaValidation
		Details json.RawMessage `json:"details"`
	}
	if _, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/media/validate", body: m, out: &out, repeats: unanswered}); err != nil {
		return api.MediaValidation{}, err
	}
	v := out.MediaValidation
	if !v.Allowed && v.Code == "" {
		return api.MediaValidation{}, errors.New("client: the answer is not Gantry's on a file: check the base URL")
	}
	if len(out.Details) == 0 {
		return v, nil
	}
	var err error
	v.Details, err = decoded[api.InvalidDetails](v.Code, out.Details)
	return v, err
}

// InspectMedia judges a file by its bytes, and keeps nothing of it. A refusal
// is an *Error, its details an api.InvalidDetails.
//
// The bytes are sent as r yields them, never held. A Size above 0 must be
// theirs exactly; with Size 0 it need not be known. The call takes as long as
// the bytes move: it is ErrUnavailable when Gantry takes none for the timeout
// of WithTimeout, 10 s by default, or gives no verdict within twelve times
// that after the last one; ctx ends it at any time. It is not repeated once
// bytes were sent. r is not closed; a Read of it may still be under way for
// as long as it takes after an error. Role app.
func (c *Client) InspectMedia(ctx context.Context, m api.MediaMetadata, r io.Reader) (api.MediaVerdict, error) {
	var out api.MediaVerdict
	if err := c.send(ctx, "/v1/media/inspect", m, r, &out); err != nil {
		return api.MediaVerdict{}, err
	}
	if out.SHA256 == "" || out.MIMEType == "" {
		return api.MediaVerdict{}, errors.New("client: the answer is not a verdict of Gantry's: check the base URL")
	}
	return out, nil
}

// UploadMedia judges a file by its bytes and stores what passes, as an upload
// of m.UserID. Refusals and the sending of bytes are as with InspectMedia.
// It counts against the limit of MEDIA_UPLOAD. After an error without an
// answer the file may be stored all the same, without anybody knowing its id.
// Role app.
func (c *Client) UploadMedia(ctx context.Context, m api.MediaMetadata, r io.Reader) (api.MediaUpload, error) {
	var out api.MediaUpload
	if err := c.send(ctx, "/v1/media/uploads", m, r, &out); err != nil {
		return api.MediaUpload{}, err
	}
	return known(out)
}

// send sends a file as the body of a request.
func (c *Client) send(ctx context.Context, path string, m api.MediaMetadata, r io.Reader, out any) error {
	f := &file{r: r, mime: declared(m.MIMEType), size: m.Size}
	_, err := c.do(ctx, call{method: http.MethodPost, path: path, query: params("userId", m.UserID, "filename", m.Filename), out: out, file: f})
	return err
}

// known is an upload, or the error of an answer that is none.
func known(u api.MediaUpload) (api.MediaUpload, error) {
	if u.ID == "" || u.State == "" {
		return api.MediaUpload{}, errors.New("client: the answer is not an upload of Gantry's: check the base URL")
	}
	return u, nil
}

func (c *Client) upload(ctx context.Context, k call) (api.MediaUpload, error) {
	var out api.MediaUpload
	k.out = &out
	if _, err := c.do(ctx, k); err != nil {
		return api.MediaUpload{}, err
	}
	return known(out)
}

func uploadPath(id string) string { return "/v1/media/uploads/" + url.PathEscape(id) }

// Upload returns one upload. Role app.
func (c *Client) Upload(ctx context.Context, id string) (api.MediaUpload, error) {
	return c.upload(ctx, call{method: http.MethodGet, path: uploadPath(id), repeats: safe})
}

// DeleteUpload removes one upload. Its content goes with the last upload of
// it. Role app.
func (c *Client) DeleteUpload(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: uploadPath(id), repeats: keyed})
	return err
}

// PresignUpload prepares an upload of m.UserID that goes to the bucket
// directly: PUT the file to the answer's URL with its headers, then
// VerifyUpload. m.Size must be the file's. It counts against the limit of
// MEDIA_UPLOAD. Role app.
func (c *Client) PresignUpload(ctx context.Context, m api.MediaMetadata) (api.MediaPresigned, error) {
	var out api.MediaPresigned
	if _, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/media/uploads/presign", body: m, out: &out}); err != nil {
		return api.MediaPresigned{}, err
	}
	if out.ID == "" || out.URL == "" {
		return api.MediaPresigned{}, errors.New("client: the answer is not a place for an upload: check the base URL")
	}
	return out, nil
}

// VerifyUpload judges an upload that waits in quarantine. If it passes it is
// verified; a refusal is an *Error as with InspectMedia, and nothing of the
// upload stays. CONFLICT: nothing has arrived yet. Verifying again returns the
// upload as it is. Gantry reads the file first: it has twelve times the
// timeout of WithTimeout. Role app.
func (c *Client) VerifyUpload(ctx context.Context, id string) (api.MediaUpload, error) {
	return c.upload(ctx, call{method: http.MethodPost, path: uploadPath(id) + "/verify", repeats: safe, timeout: verdictWaits * c.patience})
}

// MediaTypes lists what may be uploaded.
func (c *Client) MediaTypes(ctx context.Context) ([]api.MediaType, error) {
	var out struct {
		Types []api.MediaType `json:"types"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/media/types", out: &out, repeats: safe})
	return out.Types, err
}

// RefusalQuery selects refusals. Zero fields select everyone's, of every code
// and time; at most 100 rows, or Limit (at most 1000).
type RefusalQuery struct {
	UserID string
	Code   api.Code
	Since  time.Time // inclusive
	Limit  int       // rows
}

// MediaRefusals returns files that were refused, newest first. Role moderator.
func (c *Client) MediaRefusals(ctx context.Context, q RefusalQuery) ([]api.MediaRefusal, error) {
	var out struct {
		Refusals []api.MediaRefusal `json:"refusals"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/media/refusals", out: &out, repeats: safe,
		query: params("userId", q.UserID, "code", string(q.Code), "since", moment(q.Since), "limit", number(q.Limit))})
	return out.Refusals, err
}
