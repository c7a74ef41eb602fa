// Package audithttp verifies a log over HTTP, as an outsider does. It stands
// apart from package audit so that what judges a log does no I/O.
package audithttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"

	"avalo.app/gantry/internal/audit"
)

// Verify verifies the log below base ("https://host/audit/log/"); see
// audit.VerifyTiles. The client decides about timeouts, proxies and
// redirects.
func Verify(ctx context.Context, c *http.Client, base string, o audit.Options) (*audit.Report, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return nil, errors.New("audithttp: the log's address is not a URL with a host")
	}
	return audit.VerifyTiles(ctx, func(ctx context.Context, path string, limit int64) ([]byte, error) {
		data, err := fetch(ctx, c, u.JoinPath(path).String(), limit)
		if err != nil {
			return nil, fmt.Errorf("audithttp: fetch %s: %w", path, err)
		}
		return data, nil
	}, o)
}

func fetch(ctx context.Context, c *http.Client, address string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("%w (%s)", fs.ErrNotExist, res.Status)
	default:
		return nil, fmt.Errorf("the log answers %s", res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the answer is over %d bytes", limit)
	}
	return data, nil
}
