package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a PostgreSQL server that a test may stop, kill and start again.
type Server struct {
	URL string // with database postgres

	dir, bin string
	port     int
	attr     *syscall.SysProcAttr
	pg       *exec.Cmd
}

// StartServer returns a running server of the test's own, which ends with it.
func StartServer(t testing.TB) *Server {
	t.Helper()
	s, err := NewServer()
	if err != nil {
		t.Fatalf("PostgreSQL is needed for this test (apt-get install postgresql): %v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

// NewServer runs initdb and postgres in a temporary folder, as the user
// postgres when the test runs as root, since the server refuses root.
func NewServer() (s *Server, err error) {
	s = &Server{attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}}
	if s.bin, err = binDir(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "gantry-pg-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(s.dir)
		}
	}()
	if os.Geteuid() == 0 {
		if s.attr.Credential, err = postgresUser(); err != nil {
			return nil, err
		}
		if err := os.Chown(s.dir, int(s.attr.Credential.Uid), int(s.attr.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := exec.Command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "gantry", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = s.attr, s.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	s.URL = fmt.Sprintf("postgres://gantry@127.0.0.1:%d/postgres", s.port)
	return s, s.Start()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Start starts the server, also again, at the same port, and returns when it
// takes connections.
func (s *Server) Start() error {
	s.pg = exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
		"-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB")
	s.pg.SysProcAttr, s.pg.Dir = s.attr, s.dir
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.pg.Stdout, s.pg.Stderr = log, log
	if err := s.pg.Start(); err != nil {
		return err
	}
	return ready(s.URL)
}

// Stop ends the server and forgets its data.
func (s *Server) Stop() {
	_ = s.pg.Process.Signal(syscall.SIGCONT)
	_ = s.pg.Process.Signal(syscall.SIGINT)
	_ = s.pg.Wait()
	_ = os.RemoveAll(s.dir)
}

// Kill ends the server and every process of it at once, as kill -9 does.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	_ = s.pg.Wait() // it says that it was killed
}

// Freeze makes the server hang: it takes connections, since the kernel does,
// and answers nothing until Thaw.
func (s *Server) Freeze(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGCONT) }

// signal sends to the postmaster first, which makes no further children then.
func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	pid := s.pg.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
	for child := range strings.FieldsSeq(string(children)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}
func ready(url string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func binDir() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(dirs) == 0 {
		return "", fmt.Errorf("no PostgreSQL server under /usr/lib/postgresql")
	}
	slices.Sort(dirs)
	return dirs[len(dirs)-1], nil
}

func postgresUser() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
