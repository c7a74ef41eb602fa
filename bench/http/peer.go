package main

import (
	"encoding/json"
	"net/http"
	"sync"
)

// bare is the bare server: net/http, encoding/json and a map under a
// mutex; no authentication, metrics, recording or windows.
func bare() http.Handler {
	var mu sync.Mutex
	counts := map[string]int64{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
}
