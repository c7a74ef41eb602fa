package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"avalo.app/gantry/internal/blob"
	"avalo.app/gantry/internal/clamd"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/walk"
	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/resumable"
)

// refusalRetention is how long the verdict log is kept.
const refusalRetention = 90 * 24 * time.Hour

// mediaUpload is the action that uploads are counted under.
const mediaUpload = "MEDIA_UPLOAD"

func (a *App) openMedia(ctx context.Context) error {
	url, err := a.bucketURL()
	if err != nil {
		return err
	}
	bucket, err := blob.Open(ctx, url)
	if err != nil {
		return fmt.Errorf("media.bucket: %w", err)
	}
	a.onStop("media bucket", func(context.Context) error { return bucket.Close() })
	spool := a.path("spool")
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	a.refusals = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gantry_media_refused_total", Help: "Files that were refused, by flow and code."}, []string{"flow", "code"})
	a.registry.MustRegister(a.refusals)
	scanner, scans, err := a.openScanner()
	if err != nil {
		return err
	}
	a.media = media.New(media.Options{
		Inspector: &media.Inspector{Walk: walk.DefaultLimits(), Policy: a.mediaPolicy},
		Bucket:    bucket, Store: a.db, Take: a.takeUpload, Key: a.mediaKey, Spool: spool, Now: a.o.Now,
		Scanner: scanner, Scans: scans, AcceptUnscanned: func() bool { return a.config().Media.Unscanned != "refuse" },
		Refused: func(flow string, code fault.Code) { a.refusals.WithLabelValues(flow, string(code)).Inc() },
	})
	if a.tus, err = resumable.Open(a.path("tus"), a.o.Now); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	a.parts = bucket.Sweep
	return errors.Join(a.media.Sweep(), a.parts(a.o.Now()))
}

// bucketURL is where uploads are stored.
func (a *App) bucketURL() (string, error) {
	if url := a.config().Media.Bucket; url != "" {
		return url, nil
	}
	return blob.Dir(a.path("media"))
}

func (a *App) mediaPolicy() media.Policy {
	m := a.config().Media
	return media.Policy{Sanitise: m.Sanitise, Refused: m.RefusedTypes, MaxSize: map[media.Class]int64{
		media.Image: int64(m.MaxSize.Image), media.Video: int64(m.MaxSize.Video), media.Audio: int64(m.MaxSize.Audio)}}
}

// openScanner returns the malware scanner, nil if there is none, and what
// counts its answers. It needs no clamd yet: one that is down at start is
// asked again at every upload.
func (a *App) openScanner() (media.Scanner, func(media.Scan), error) {
	address := a.config().Media.Clamd
	if address == "" {
		return nil, nil, nil
	}
	s, err := clamd.New(address, clamd.DefaultTimeout)
	if err != nil {
		return nil, nil, fmt.Errorf("media.clamd: %w", err)
	}
	scans := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gantry_media_scans_total", Help: "Files that clamd was asked about, by its answer: clean, infected, unscanned."}, []string{"answer"})
	a.registry.MustRegister(scans)
	return s, func(got media.Scan) { scans.WithLabelValues(string(got)).Inc() }, nil
}

// takeUpload charges one upload to the user.
func (a *App) takeUpload(ctx context.Context, user string) error {
	v, err := a.limits.Check(ctx, ratelimit.Request{Action: mediaUpload, Subject: ratelimit.Subject{User: user}})
	if err == nil && !v.Allowed {
		err = httpapi.Limited(v, 1)
	}
	return err
}
