package main

import (
	"errors"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"time"
)

// timeStart measures from the start of the process to the first 200 of
// /readyz. The address is found beforehand, so that asking can begin at once.
func timeStart(binary, data string) (time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(binary, "serve", "--listen", addr, "--data", data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }()
	for time.Since(start) < 30*time.Second {
		res, err := http.Get("http://" + addr + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return time.Since(start), nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	return 0, errors.New("no answer within 30 s")
}
