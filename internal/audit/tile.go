package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// TileHeight is the number of tree levels in a tile.
	TileHeight = 8
	// TileWidth is the number of hashes in a full tile, and of entries in a
	// full bundle.
	TileWidth = 1 << TileHeight
	// EntriesLevel is the Tile.L that stands for entry bundles.
	EntriesLevel = -1

	maxEntry    = 1<<16 - 1
	maxBundle   = TileWidth * (2 + maxEntry)
	maxTileN    = 1 << 48 // far beyond any log, and N<<TileHeight cannot overflow
	entriesName = "entries"
)

var errTilePath = errors.New("audit: not a tile path")

// TilePath returns the path of a tile as C2SP tlog-tiles wants it, without a
// leading slash: "tile/<L>/<N>[.p/<W>]" or "tile/entries/<N>[.p/<W>]".
// (tlog.Tile.Path names another layout.)
func TilePath(t tlog.Tile) string {
	level := entriesName
	if t.L != EntriesLevel {
		level = strconv.Itoa(t.L)
	}
	n := fmt.Sprintf("%03d", t.N%1000)
	for rest := t.N / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	p := "tile/" + level + "/" + n
	if t.W != TileWidth {
		p += ".p/" + strconv.Itoa(t.W)
	}
	return p
}

// ParseTilePath is the inverse of TilePath; each tile has exactly one path.
func ParseTilePath(path string) (tlog.Tile, error) {
	t := tlog.Tile{H: TileHeight, W: TileWidth}
	rest, ok := strings.CutPrefix(path, "tile/")
	level, rest, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || len(path) > 100 {
		return tlog.Tile{}, errTilePath
	}
	n, width, partial := strings.Cut(rest, ".p/")
	var err error
	if partial {
		if t.W, err = strconv.Atoi(width); err != nil || t.W < 1 || t.W >= TileWidth {
			return tlog.Tile{}, errTilePath
		}
	}
	if t.L = EntriesLevel; level != entriesName {
		if t.L, err = strconv.Atoi(level); err != nil || t.L < 0 || t.L > 63 {
			return tlog.Tile{}, errTilePath
		}
	}
	for _, part := range strings.Split(n, "/") {
		d, err := strconv.ParseUint(strings.TrimPrefix(part, "x"), 10, 10)
		if err != nil || t.N > (maxTileN-999)/1000 {
			return tlog.Tile{}, errTilePath
		}
		t.N = t.N*1000 + int64(d)
	}
	// Writing it again settles leading zeros, plus signs, the x's and the
	// number of digits in one comparison.
	if TilePath(t) != path {
		return tlog.Tile{}, errTilePath
	}
	return t, nil
}

// TileIn reports whether a log of the given size has all of the tile. Tiles
// of a log never change, so a partial tile that is no longer the newest is
// still there.
func TileIn(t tlog.Tile, size int64) bool {
	level := max(t.L, 0) // a bundle is as wide as the leaf tile above it
	return t.N >= 0 && t.N <= maxTileN && t.W >= 1 && t.W <= TileWidth &&
		t.N<<TileHeight+int64(t.W) <= size>>(TileHeight*level)
}

// AppendEntry appends one leaf to an entry bundle: a big-endian 16-bit
// length, then the bytes.
func AppendEntry(bundle, leaf []byte) ([]byte, error) {
	if len(leaf) > maxEntry {
		return nil, fmt.Errorf("audit: leaf of %d bytes does not fit in a bundle", len(leaf))
	}
	return append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf))), leaf...), nil
}

// ParseBundle splits an entry bundle into its leaves, which share its
// memory. It refuses more than TileWidth leaves and trailing bytes.
func ParseBundle(bundle []byte) ([][]byte, error) {
	var leaves [][]byte
	for len(bundle) > 0 {
		if len(bundle) < 2 {
			return nil, errors.New("audit: entry bundle ends inside a length")
		}
		n := int(binary.BigEndian.Uint16(bundle))
		if bundle = bundle[2:]; len(bundle) < n {
			return nil, errors.New("audit: entry bundle ends inside an entry")
		}
		if len(leaves) == TileWidth {
			return nil, fmt.Errorf("audit: entry bundle holds more than %d entries", TileWidth)
		}
		leaves = append(leaves, bundle[:n:n])
		bundle = bundle[n:]
	}
	return leaves, nil
}
