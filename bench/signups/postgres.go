package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"avalo.app/gantry/bench/internal/servers"
)

// postgres is a server with its default settings, durable ones among them.
type postgres struct {
	cmd  *exec.Cmd
	dir  string
	port int
}

// startPostgres makes a cluster with the databases peer and gantry and
// starts it, as the user postgres when run as root, since the server
// refuses root.
func startPostgres(ctx context.Context) (*postgres, error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		return nil, fmt.Errorf("no PostgreSQL server under /usr/lib/postgresql (apt-get install postgresql)")
	}
	slices.Sort(bins)
	bin := bins[len(bins)-1]
	p := &postgres{}
	if p.dir, err = os.MkdirTemp("", "gantry-bench-pg-"); err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 {
		if attr.Credential, err = ownPostgres(p.dir); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "gantry", "-A", "trust", "-E", "UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = attr, p.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	p.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(p.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
	p.cmd.SysProcAttr, p.cmd.Dir = attr, p.dir
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.create(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// ownPostgres gives the folder to the user postgres.
func ownPostgres(dir string) (*syscall.Credential, error) {
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
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}

// create waits until the server answers, and makes the databases.
func (p *postgres) create(ctx context.Context) error {
	db, err := sql.Open("pgx", p.url("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for err = db.PingContext(ctx); err != nil; err = db.PingContext(ctx) {
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
	for _, name := range []string{"peer", "gantry"} {
		if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
			return err
		}
	}
	return nil
}

func (p *postgres) url(database string) string {
	return fmt.Sprintf("postgres://gantry@127.0.0.1:%d/%s", p.port, database)
}

func (p *postgres) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
}

// cpu is the processor time of all of the server's processes; 0 of none.
func (p *postgres) cpu() (time.Duration, error) {
	if p == nil {
		return 0, nil
	}
	return servers.FamilyCPU(p.cmd.Process.Pid)
}
