package walk

import (
	"bytes"
	"slices"
	"strings"
)

// plainUserData are the boxes of udta that stay when sanitising, besides the
// texts of QuickTime: titles, chapters, loudness, hints, how a player's window
// looks. Everything else is a place or a camera maker's blob, which often has
// one inside.
var plainUserData = []string{"meta", "name", "hnti", "hinf", "titl", "auth", "cprt", "dscp", "perf", "gnre", "albm", "yrrc",
	"kywd", "chpl", "tsel", "tagc", "ludt", "kind", "covr", "desc", "WLOC", "LOOP", "AllF", "SelO", "ptv ", "hint"}

// userData walks a udta box. QuickTime may end it with 32 zero bits.
func (f *bmff) userData(b box, depth int) error {
	end := b.end
	if n := b.payload(); n >= 4 && n < 8 {
		p, err := f.fields(b, n)
		if err != nil {
			return err
		}
		if f.in.isZeros(p) {
			return f.keep(b)
		}
	}
	if err := f.in.Keep(b.head); err != nil {
		return err
	}
	for f.in.off < end {
		if left := end - f.in.off; left < 8 {
			p, err := f.in.Need(int(left))
			if err != nil {
				return err
			}
			if left == 4 && f.in.isZeros(p) {
				return f.in.Keep(left)
			}
			return f.in.Corrupt("%d bytes are left in a box", left)
		}
		c, err := f.next(end)
		if err != nil {
			return err
		}
		if err := f.userDatum(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (f *bmff) userDatum(b box, depth int) error {
	switch {
	case depth > f.in.Limits.MaxDepth:
		return f.children(b.end, depth, f.ignore)
	case isSpace(b.kind):
		return f.space(b)
	case b.kind == "uuid":
		return f.uuid(b)
	case b.kind == "meta":
		return newMeta(f).walk(b, depth)
	case isPlaceName(b.kind):
		return f.blank(b, "location")
	case b.kind == "XMP_":
		return f.blank(b, "xmp")
	case b.kind[0] == 0xa9, slices.Contains(plainUserData, b.kind):
		return f.keep(b)
	}
	return f.blank(b, "user data "+b.kind)
}

// isPlaceName tells boxes of user data and of item lists that say where.
func isPlaceName(kind string) bool {
	return kind == "\xa9xyz" || kind == "\xa9gps" || kind == "loci" || strings.HasPrefix(strings.ToLower(kind), "gps")
}

// saysPlace tells the names of keys and tags under which places are kept.
func saysPlace(name []byte) bool {
	name = bytes.ToLower(name)
	for _, s := range []string{"location", "gps", "iso6709", "latitude", "longitude", "altitude", "coordinate", "geo"} {
		if bytes.Contains(name, []byte(s)) {
			return true
		}
	}
	return false
}

// maxKeys bounds the keys of one item list.
const maxKeys = 4096

// keys reads the names of an item list's entries, which are numbered from 1.
func (m *meta) keys(b box) error {
	f := m.f
	p, err := f.fields(b, 8)
	if err != nil {
		return err
	}
	count := big.Uint32(p[4:])
	if count > maxKeys || int64(count) > b.payload()/8 {
		return f.in.Corrupt("%d keys in a box of %d bytes", count, b.payload())
	}
	m.keyed = true
	n := uint32(0)
	err = f.inside(b, 8, 0, func(k box, _ int) error {
		p, err := f.fields(k, min(k.payload(), 1024))
		if err != nil {
			return err
		}
		if n++; saysPlace(p) || isPlaceName(string(p[:min(4, len(p))])) { // the latter of user data

			m.places = append(m.places, n)
		}
		return f.keep(k)
	})
	if err == nil && n != count {
		return f.in.Corrupt("%d keys instead of %d", n, count)
	}
	return err
}

// list walks an item list: iTunes' names, or numbers of keys.
func (m *meta) list(b box, depth int) error {
	f := m.f
	return f.inside(b, 0, depth, func(b box, depth int) error {
		n := big.Uint32([]byte(b.kind))
		numbered := n > 0 && n <= maxKeys
		switch {
		case isPlaceName(b.kind):
			return f.blank(b, "location")
		case b.kind == "----":
			p, err := f.fields(b, min(b.payload(), window/2))
			if err != nil {
				return err
			}
			if saysPlace(p) {
				return f.blank(b, "location")
			}
		case numbered:
			if _, place := slices.BinarySearch(m.places, n); place || !m.keyed {
				return f.inside(b, 0, depth, m.value)
			}
		}
		return f.keep(b)
	})
}

// value zeroes the value of a place, behind its type and language: the entry
// stays, since other entries are found by number.
func (m *meta) value(b box, _ int) error {
	f := m.f
	if b.kind != "data" || b.payload() < 8 {
		return f.keep(b)
	}
	if err := f.in.Keep(b.head + 8); err != nil {
		return err
	}
	start := f.in.off
	used, err := f.in.padding(b.end-start, "location")
	if used {
		f.in.Note(start, b.end-start, "location", f.fate())
	}
	return err
}
