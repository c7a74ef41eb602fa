package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
)

// servePeer is the bare server: net/http, encoding/json and a map under a
// mutex; no authentication, metrics, recording or windows.
func servePeer() {
	var mu sync.Mutex
	counts := map[string]int64{}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Action, User string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		counts[in.User]++
		n := counts[in.User]
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(struct {
			Allowed   bool  `json:"allowed"`
			Remaining int64 `json:"remaining"`
		}{true, 1_000_000_000 - n})
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("http://%s\nReady\n", l.Addr())
	_ = http.Serve(l, h)
}
