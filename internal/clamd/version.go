package clamd

import (
	"context"
	"net"
	"time"
)

// Version asks clamd for its version and that of its signatures: ClamAV
// VERSION[/SIGNATURES/DATE]. It scans nothing.
func (s *Scanner) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, s.network, s.address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // ends a read or write at once
	if _, err := conn.Write([]byte("zVERSION\x00")); err != nil {
		return "", err
	}
	return readReply(conn)
}
