// Package clamdtest starts Debian's clamd for a test, with one signature of
// its own and nothing from the network.
package clamdtest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Malware is found by the one signature, wherever it stands in a file.
const Malware = "gantry-test-malware-5e0c1f7a"

// Signature is what clamd calls it: a local signature's name ends so.
const Signature = "Gantry.Test.UNOFFICIAL"

// StreamMax is the largest file that clamd takes, in bytes.
const StreamMax = 1 << 20

// ScanMax is the largest file that it scans, in bytes; it tells when it did
// not.
const ScanMax = 512 << 10

// Daemon is a running clamd.
type Daemon struct {
	Address string // for clamd.New

	cmd  *exec.Cmd
	stop sync.Once
}

// Start runs clamd in a temporary folder until the test ends, as the user
// clamav if the test runs as root.
func Start(t testing.TB) *Daemon {
	t.Helper()
	bin, err := exec.LookPath("clamd")
	if err != nil {
		bin = "/usr/sbin/clamd" // not on a user's path
	}
	dir, err := os.MkdirTemp("", "clamd-") // t.TempDir's path is too long for a socket, and not open to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &Daemon{Address: "unix:" + filepath.Join(dir, "s")}
	write(t, filepath.Join(dir, "db.ndb"), fmt.Sprintf("Gantry.Test:0:*:%s\n", hex.EncodeToString([]byte(Malware))))
	write(t, filepath.Join(dir, "clamd.conf"), strings.Join([]string{
		"Foreground yes", "DatabaseDirectory " + dir, "LocalSocket " + filepath.Join(dir, "s"), "TemporaryDirectory " + dir,
		"StreamMaxLength " + strconv.Itoa(StreamMax), "MaxFileSize " + strconv.Itoa(ScanMax), "MaxScanSize " + strconv.Itoa(4*StreamMax),
		"AlertExceedsMax yes", "MaxThreads 2", "",
	}, "\n"))
	d.cmd = exec.Command(bin, "--config-file="+filepath.Join(dir, "clamd.conf"))
	var said bytes.Buffer
	d.cmd.Stdout, d.cmd.Stderr = &said, &said
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		d.cmd.SysProcAttr.Credential = owner(t, dir)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("clamd (Debian's clamav-daemon, see scripts/deps.sh): %v", err)
	}
	t.Cleanup(d.Stop)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("unix", filepath.Join(dir, "s"))
		if err == nil {
			_ = conn.Close()
			return d
		}
		if time.Now().After(deadline) {
			d.Stop() // what it said is whole then
			t.Fatalf("clamd does not answer: %v: %s", err, said.String())
		}
	}
}

// Stop ends clamd and waits for its end. It may be called twice.
func (d *Daemon) Stop() {
	d.stop.Do(func() {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	})
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// owner gives the folder to the user clamav.
func owner(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("clamav")
	if err != nil {
		t.Fatal(err)
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if uerr != nil || gerr != nil {
		t.Fatal(uerr, gerr)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
