package memory

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"avalo.app/gantry/internal/ratelimit"
)

// A snapshot is, in little-endian integers:
//
//	magic     8 bytes, the version in the last
//	fingerprint of the hasher's secret, 16 bytes
//	sections, one a shard:
//	  1 byte   1
//	  kinds    count uint32; each: algorithm, window, limit, 8 bytes each
//	  entries  count uint32; each: as in memory, 32 bytes
//	  strikes  count uint32; each: key 16 bytes, count, ends, until, 8 bytes each
//	1 byte 0, the end
//	SHA-256 of all before
//
// A section stands for itself: a reader may have other shards.
const (
	magic       = "gantryC\x01"
	kindBytes   = 24
	entryBytes  = 32
	strikeBytes = 40
)

// Errors of Load, to be tested with errors.Is.
var (
	ErrCorrupt     = errors.New("the snapshot is truncated or corrupt")
	ErrFingerprint = errors.New("the snapshot was saved under another hash secret")
)

// SaveStats says what a snapshot holds.
type SaveStats struct {
	Keys  int
	Bytes int64
}

// Save writes all counters but the overflow's. It locks one shard at a time,
// only to copy it, so the snapshot is consistent for each counter but not
// between those of one call.
func (c *Counters) Save(w io.Writer) (SaveStats, error) {
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16)
	stats := SaveStats{Bytes: int64(len(magic) + len(c.fingerprint) + 1 + sha256.Size)}
	out.WriteString(magic) // a bufio.Writer keeps its first error for Flush
	out.Write(c.fingerprint[:])
	var buf []byte
	for i := range c.shards {
		t, strikes := c.shards[i].copy()
		buf = appendSection(buf[:0], t, strikes)
		out.Write(buf)
		stats.Keys += t.used
		stats.Bytes += int64(len(buf))
	}
	out.WriteByte(0)
	if err := out.Flush(); err != nil {
		return SaveStats{}, err
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return SaveStats{}, err
	}
	return stats, nil
}

func (sh *shard) copy() (table, map[ratelimit.Key]ratelimit.Strikes) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := table{used: sh.table.used}
	t.slots = append(t.slots, sh.table.slots...)
	t.kinds = append(t.kinds, sh.table.kinds...)
	return t, maps.Clone(sh.strikes)
}

func appendSection(b []byte, t table, strikes map[ratelimit.Key]ratelimit.Strikes) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(append(b, 1), uint32(len(t.kinds)))
	for _, k := range t.kinds {
		b = le.AppendUint64(b, uint64(k.algorithm))
		b = le.AppendUint64(b, uint64(k.window))
		b = le.AppendUint64(b, uint64(k.limit))
	}
	b = le.AppendUint32(b, uint32(t.used))
	for i := range t.slots {
		if e := &t.slots[i]; e.when&maxKinds != 0 {
			b = le.AppendUint64(b, e.lo)
			b = le.AppendUint64(b, e.hi)
			b = le.AppendUint64(b, e.when)
			b = le.AppendUint64(b, e.count)
		}
	}
	b = le.AppendUint32(b, uint32(len(strikes)))
	for k, x := range strikes {
		b = append(b, k[:]...)
		b = le.AppendUint64(b, uint64(x.Count))
		b = le.AppendUint64(b, uint64(x.Ends))
		b = le.AppendUint64(b, uint64(x.Until))
	}
	return b
}

// SaveFile replaces the file at path by a snapshot, mode 0600. Whatever fails
// or crashes, path holds the old snapshot or the new one, complete; path.tmp
// may stay behind, and is overwritten next time.
func (c *Counters) SaveFile(path string) (SaveStats, error) {
	c.saving.Lock()
	defer c.saving.Unlock()
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return SaveStats{}, fmt.Errorf("memory: save counters: %w; is the directory there and writable?", err)
	}
	stats, err := c.Save(f)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp) // the first error tells more
		return SaveStats{}, fmt.Errorf("memory: save counters to %s: %w", path, err)
	}
	return stats, syncDir(filepath.Dir(path))
}

// syncDir makes a rename in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return fmt.Errorf("memory: the counters are saved, but may be gone after a power cut: %w", err)
	}
	return nil
}
