// Package geoip reads the country of an address from a MaxMind-format
// database, for package launch.
package geoip

import (
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Database is an open file. It is safe for concurrent use.
type Database struct {
	path string
	open atomic.Pointer[file]
}

// file is one version of the database, in memory: a file that is replaced
// under a running lookup must not take the lookup along.
type file struct {
	reader   *maxminddb.Reader
	modified time.Time
	size     int64
}

// Open reads the database at path.
func Open(path string) (*Database, error) {
	d := &Database{path: path}
	return d, d.Reload()
}

// Reload reads the file again if it has changed. After a failure the last
// good one serves on.
func (d *Database) Reload() error {
	info, err := os.Stat(d.path)
	if err != nil {
		return err
	}
	if f := d.open.Load(); f != nil && f.modified.Equal(info.ModTime()) && f.size == info.Size() {
		return nil
	}
	b, err := os.ReadFile(d.path)
	if err != nil {
		return err
	}
	r, err := maxminddb.OpenBytes(b)
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	d.open.Store(&file{reader: r, modified: info.ModTime(), size: info.Size()})
	return nil
}

// Country returns the ISO 3166-1 alpha-2 code of an address, "" if it is
// not known.
func (d *Database) Country(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	var code string
	if err := d.open.Load().reader.Lookup(a.Unmap().WithZone("")).DecodePath(&code, "country", "iso_code"); err != nil {
		return ""
	}
	return code
}

// Close releases the database.
func (d *Database) Close() error { return d.open.Load().reader.Close() }
