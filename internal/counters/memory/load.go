package memory

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"avalo.app/gantry/internal/ratelimit"
)

// maxLevel is the greatest level a gcra counter may hold, see
// ratelimit.Params.MaxBurst.
const maxLevel = 1 << 62

// LoadStats says what a snapshot gave.
type LoadStats struct {
	Keys    int // counters in force
	Expired int // counters whose windows have ended since
}

// LoadFile reads the snapshot at path, see Load. No file is no error: there
// are no counters yet.
func (c *Counters) LoadFile(path string, now int64) (LoadStats, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return LoadStats{}, nil
	}
	if err != nil {
		return LoadStats{}, fmt.Errorf("memory: load counters: %w", err)
	}
	defer f.Close()
	stats, err := c.Load(f, now)
	if err != nil {
		return LoadStats{}, fmt.Errorf("%s: %w", path, err)
	}
	return stats, nil
}

// Load replaces all counters by a snapshot's, without those that have expired
// at now. Call it before the first check. Until the whole snapshot has proved
// right nothing changes, so after ErrCorrupt, ErrFingerprint or an error of r
// the counters are as usable, and as empty, as before.
func (c *Counters) Load(r io.Reader, now int64) (LoadStats, error) {
	fresh := New(Options{MaxKeys: int(c.max), Fingerprint: c.fingerprint})
	d := decoder{r: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	if err := d.snapshot(fresh, clamp(now)); err != nil {
		return LoadStats{}, fmt.Errorf("memory: load counters: %w; nothing was loaded", err)
	}
	for i := range c.shards {
		sh, from := &c.shards[i], &fresh.shards[i]
		sh.mu.Lock()
		c.keys.Add(int64(from.table.used - sh.table.used))
		sh.table, sh.strikes = from.table, from.strikes
		sh.mu.Unlock()
	}
	return LoadStats{Keys: int(fresh.keys.Load()), Expired: int(fresh.expired.Load())}, nil
}

// decoder reads and checks a snapshot. It keeps its first error; after one,
// every number it reads is 0.
type decoder struct {
	r   *bufio.Reader
	sum hash.Hash
	buf [40]byte
	err error
}

// bytes returns the next n ≤ 40 bytes, valid until the next call.
func (d *decoder) bytes(n int) []byte {
	b := d.buf[:n]
	if d.err == nil {
		if _, err := io.ReadFull(d.r, b); err != nil {
			d.fail(err)
		}
	}
	if d.err != nil {
		clear(b)
		return b
	}
	d.sum.Write(b)
	return b
}

// fail notes an error; an end of input is a truncated snapshot.
func (d *decoder) fail(err error) {
	switch {
	case d.err != nil:
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		d.err = fmt.Errorf("%w: it ends too early", ErrCorrupt)
	default:
		d.err = err
	}
}

func (d *decoder) corrupt(format string, args ...any) {
	d.fail(fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...)))
}

func (d *decoder) count() int { return int(binary.LittleEndian.Uint32(d.bytes(4))) }

func (d *decoder) snapshot(c *Counters, now int64) error {
	if head := d.bytes(len(magic)); d.err == nil && string(head) != magic {
		if bytes.HasPrefix(head, []byte(magic[:7])) {
			return fmt.Errorf("the snapshot has format version %d; this program reads version %d", head[7], magic[7])
		}
		return fmt.Errorf("%w: it is not a counter snapshot", ErrCorrupt)
	}
	if print := d.bytes(len(c.fingerprint)); d.err == nil && !bytes.Equal(print, c.fingerprint[:]) {
		return ErrFingerprint
	}
	for d.err == nil {
		switch mark := d.bytes(1)[0]; {
		case d.err != nil:
		case mark == 1:
			d.section(c, now)
		case mark == 0:
			return d.trailer()
		default:
			d.corrupt("a section starts with %d", mark)
		}
	}
	return d.err
}

func (d *decoder) trailer() error {
	want := d.sum.Sum(nil)
	got := d.bytes(sha256.Size)
	if d.err != nil {
		return d.err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%w: its checksum differs", ErrCorrupt)
	}
	if _, err := d.r.ReadByte(); err == nil {
		return fmt.Errorf("%w: something follows its end", ErrCorrupt)
	}
	return nil
}

// section reads one shard. Counts are not trusted: memory grows only with
// what was read.
func (d *decoder) section(c *Counters, now int64) {
	var t table
	for n := d.count(); n > 0 && d.err == nil; n-- {
		b := d.bytes(kindBytes)
		le := binary.LittleEndian
		p := ratelimit.Params{Algorithm: ratelimit.Algorithm(b[0]), Window: int64(le.Uint64(b[8:])), Limit: 1}
		k := kind{p.Algorithm, p.Window, int64(le.Uint64(b[16:]))}
		if err := p.Validate(); d.err == nil && (err != nil || len(t.kinds) == maxKinds || k.limit < 0) {
			d.corrupt("a rule makes no sense: %v", err)
		}
		t.kinds = append(t.kinds, k)
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		d.entry(c, &t, now)
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		d.strike(c, now)
	}
}

func (d *decoder) entry(c *Counters, t *table, now int64) {
	b := d.bytes(entryBytes)
	le := binary.LittleEndian
	e := entry{le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])}
	number := int(e.when & maxKinds)
	if d.err == nil && (number == 0 || number > len(t.kinds)) {
		d.corrupt("a counter names rule %d of %d", number, len(t.kinds))
	}
	if d.err != nil {
		return
	}
	k := t.kinds[number-1]
	var s ratelimit.State
	t.unpack(&e, &s)
	if s.Cur < 0 || s.Cur > maxLevel {
		d.corrupt("a counter holds %d", s.Cur)
		return
	}
	if s.Idle(k.limit, now) {
		c.expired.Add(1)
		return
	}
	key := join(e.lo, e.hi)
	sh := &c.shards[shardOf(key)]
	demand := ratelimit.Demand{Key: key, Params: ratelimit.Params{Limit: k.limit}}
	if err := c.store(sh, &demand, sh.table.find(e.lo, e.hi), &s, now); err != nil {
		d.fail(err)
	}
}

func (d *decoder) strike(c *Counters, now int64) {
	b := d.bytes(strikeBytes)
	le := binary.LittleEndian
	x := ratelimit.Strikes{Count: int32(le.Uint64(b[16:])), Ends: int64(le.Uint64(b[24:])), Until: int64(le.Uint64(b[32:]))}
	if key := ratelimit.Key(b[:16]); d.err == nil && !x.Idle(now) {
		c.strike(&c.shards[shardOf(key)], key, x)
	}
}
