package audit_test

import (
	"bytes"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"avalo.app/gantry/internal/audit"
)

func tile(l int, n int64, w int) tlog.Tile {
	return tlog.Tile{H: audit.TileHeight, L: l, N: n, W: w}
}

func TestTilePath(t *testing.T) {
	for path, want := range map[string]tlog.Tile{
		"tile/0/000":                 tile(0, 0, 256),
		"tile/0/000.p/1":             tile(0, 0, 1),
		"tile/63/999.p/255":          tile(63, 999, 255),
		"tile/2/x001/000":            tile(2, 1000, 256),
		"tile/0/x001/x234/067":       tile(0, 1234067, 256),
		"tile/entries/x001/x234/067": tile(audit.EntriesLevel, 1234067, 256),
		"tile/entries/x012/345.p/8":  tile(audit.EntriesLevel, 12345, 8),
		"tile/1/x999/x999/x999/999":  tile(1, 999999999999, 256),
	} {
		got, err := audit.ParseTilePath(path)
		if err != nil || got != want {
			t.Errorf("ParseTilePath(%q) = %v, %v; want %v", path, got, err, want)
		}
		if p := audit.TilePath(want); p != path {
			t.Errorf("TilePath(%v) = %q, want %q", want, p, path)
		}
	}
	for _, path := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/+1/000",
		"tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p", "tile/0/000.p/1.p/1", "tile/0/001/000", "tile/0/x000/001",
		"tile/0/x001", "tile/0/xx01/000", "tile/0/ 01", "tile/data/000", "tile/8/0/000", "/tile/0/000", "tile/0/000/", "tile/0/../000", "checkpoint",
		"tile/0/x999/x999/x999/x999/x999/x999/x999/999",
	} {
		if got, err := audit.ParseTilePath(path); err == nil {
			t.Errorf("ParseTilePath(%q) = %v, want an error", path, got)
		}
	}
}

func FuzzParseTilePath(f *testing.F) {
	for _, p := range []string{"tile/0/000", "tile/entries/x001/234.p/5", "tile/63/x1000/000", "tile/0/x281/x474/x976/x710/656"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := audit.ParseTilePath(path)
		if err != nil {
			return
		}
		if p := audit.TilePath(got); p != path {
			t.Errorf("%q and %q are one tile", path, p)
		}
		if got.N < 0 || got.W < 1 || got.W > audit.TileWidth || audit.TileIn(got, 0) {
			t.Errorf("%q parses to %v", path, got)
		}
	})
}

// TestTileIn compares with what tlog says is published when a log grows.
func TestTileIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 1<<20).Draw(t, "size")
		for _, x := range tlog.NewTiles(audit.TileHeight, 0, size) {
			if x.N < rapid.Int64Range(0, 1<<13).Draw(t, "skip") && x.W == audit.TileWidth {
				continue
			}
			if !audit.TileIn(x, size) {
				t.Fatalf("%v is not in a log of %d", x, size)
			}
			if x.W++; x.W <= audit.TileWidth && audit.TileIn(x, size) {
				t.Fatalf("%v is in a log of %d", x, size)
			}
			x.N, x.W = x.N+1, 1
			if x.N > size>>(8*(x.L+1)) && audit.TileIn(x, size) {
				t.Fatalf("%v is in a log of %d", x, size)
			}
		}
	})
	for _, x := range []tlog.Tile{tile(0, 1<<62, 256), tile(63, 0, 1), tile(0, -1, 256), tile(0, 0, 0), tile(0, 0, 257)} {
		if audit.TileIn(x, 1<<62) {
			t.Errorf("%v is in a log", x)
		}
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte("\x00\x01a\x00\x00\x00\x02bc"))
	f.Add([]byte("\x00"))
	f.Add([]byte("\xff\xffa"))
	f.Add(make([]byte, 2*257))
	f.Fuzz(func(t *testing.T, data []byte) {
		leaves, err := audit.ParseBundle(data)
		if err != nil {
			return
		}
		if len(leaves) > audit.TileWidth {
			t.Errorf("%d entries in a bundle", len(leaves))
		}
		var again []byte
		for _, l := range leaves {
			if again, err = audit.AppendEntry(again, l); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again, data) {
			t.Errorf("%q is read as %q", data, again)
		}
	})
}

func TestAppendEntryTooLong(t *testing.T) {
	if _, err := audit.AppendEntry(nil, make([]byte, 1<<16)); err == nil {
		t.Error("an entry of 65536 bytes fits")
	}
}
