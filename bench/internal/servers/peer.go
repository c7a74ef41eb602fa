package servers

import (
	"fmt"
	"net"
	"net/http"
)

// ServePeer serves on a free port, and prints what StartSelf waits for.
func ServePeer(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\nReady\n", l.Addr())
	return http.Serve(l, h)
}
