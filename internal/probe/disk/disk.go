// Package disk measures how much room a file system has left.
package disk

import (
	"context"
	"path/filepath"
	"syscall"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Room is what a file system has, for a user who is not root.
type Room struct {
	FreeBytes, TotalBytes uint64
	// Inodes are 0 where the file system makes them as it needs.
	FreeInodes, TotalInodes uint64
}

// Level is how little room is too little. Any of the three suffices; 0 never
// does.
type Level struct {
	Bytes         uint64
	Percent       float64 // of all bytes, 0 to 100
	InodesPercent float64 // of all inodes, 0 to 100
}

// Config says where and how much.
type Config struct {
	Path string // absolute; anything in the file system
	// Degraded and Failing are the least room; when both are zero, they are 10
	// and 3 percent of bytes and inodes.
	Degraded, Failing Level
	// Stat measures; nil means statfs(2).
	Stat func(path string) (Room, error)
}

type prober struct {
	cfg   Config
	calls probe.Blocking // a file system over the network may hang
}

// New returns a prober.
func New(cfg Config) (health.Prober, error) {
	if !filepath.IsAbs(cfg.Path) {
		return nil, probe.Invalid("disk", "path", "must be an absolute path, such as /var/lib/gantry")
	}
	if cfg.Degraded == (Level{}) && cfg.Failing == (Level{}) {
		cfg.Degraded, cfg.Failing = Level{Percent: 10, InodesPercent: 10}, Level{Percent: 3, InodesPercent: 3}
	}
	for _, l := range [...]Level{cfg.Degraded, cfg.Failing} {
		if !(l.Percent >= 0 && l.Percent < 100) || !(l.InodesPercent >= 0 && l.InodesPercent < 100) {
			return nil, probe.Invalid("disk", "percent", "is %g, and of inodes %g; give 0 to less than 100", l.Percent, l.InodesPercent)
		}
	}
	d, f := cfg.Degraded, cfg.Failing
	if d != (Level{}) && (d.Bytes < f.Bytes || d.Percent < f.Percent || d.InodesPercent < f.InodesPercent) {
		return nil, probe.Invalid("disk", "degraded", "must be no less than failing: else it is never seen")
	}
	if cfg.Stat == nil {
		cfg.Stat = stat
	}
	return &prober{cfg: cfg}, nil
}

func stat(path string) (Room, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return Room{}, err
	}
	unit := uint64(s.Bsize)
	return Room{FreeBytes: s.Bavail * unit, TotalBytes: s.Blocks * unit, FreeInodes: s.Ffree, TotalInodes: s.Files}, nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	var r Room
	err := p.calls.Do(ctx, func(context.Context) (err error) {
		r, err = p.cfg.Stat(p.cfg.Path)
		return err
	})
	if err != nil {
		return health.Reading{}, probe.Fail(ctx, "measure the file system", err)
	}
	free := percent(r.FreeBytes, r.TotalBytes)
	out := health.Reading{Message: "has room", Details: map[string]any{"freeBytes": r.FreeBytes, "totalBytes": r.TotalBytes, "freePercent": free}}
	if r.TotalInodes > 0 {
		out.Details["freeInodesPercent"] = percent(r.FreeInodes, r.TotalInodes)
	}
	switch {
	case r.TotalBytes == 0:
		return health.Reading{}, probe.Failf("measure the file system: it has no size; give a path on a disk")
	case p.cfg.Failing.reached(r):
		return health.Reading{}, probe.Failf("the disk is full: %d of %d bytes (%.1f %%) and %.1f %% of inodes are free; make room", r.FreeBytes, r.TotalBytes, free, percent(r.FreeInodes, r.TotalInodes))
	case p.cfg.Degraded.reached(r):
		out.Degraded, out.Message = true, "is nearly full: make room"
	}
	return out, nil
}

func (l Level) reached(r Room) bool {
	return r.FreeBytes < l.Bytes || percent(r.FreeBytes, r.TotalBytes) < l.Percent || percent(r.FreeInodes, r.TotalInodes) < l.InodesPercent
}

// percent is 100 of nothing: where nothing is counted, nothing is short.
func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 100
	}
	return 100 * float64(part) / float64(whole)
}
