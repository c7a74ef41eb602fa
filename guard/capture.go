package guard

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
)

// stored is an answer as Gantry keeps it. Body travels as base64.
type stored struct {
	Status   int               `json:"status"`
	Header   map[string]string `json:"header,omitempty"`
	Body     []byte            `json:"body,omitempty"`
	TooLarge bool              `json:"tooLarge,omitempty"`
}

// keptHeaders are the headers that a replay repeats: without them the body,
// or what the answer points to, could not be read.
func keptHeaders() []string {
	return []string{"Content-Type", "Content-Encoding", "Content-Language", "Location"}
}

// capture keeps a copy of an answer as it goes out.
type capture struct {
	http.ResponseWriter
	status   int // 0: nothing written yet
	header   map[string]string
	body     []byte
	tooLarge bool
}

// code is the status of the answer; a handler that writes nothing means 200.
func (c *capture) code() int {
	c.begin(http.StatusOK)
	return c.status
}

// begin notes the status and the headers, once.
func (c *capture) begin(status int) {
	if c.status != 0 {
		return
	}
	c.status, c.header = status, map[string]string{}
	for _, name := range keptHeaders() {
		if v := c.Header().Get(name); v != "" {
			c.header[name] = v
		}
	}
}

// WriteHeader notes the final status; 1xx answers are not it.
func (c *capture) WriteHeader(status int) {
	if status >= 200 {
		c.begin(status)
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write copies what it writes, up to the bound.
func (c *capture) Write(b []byte) (int, error) {
	c.begin(http.StatusOK)
	if len(c.body)+len(b) > maxStored {
		c.body, c.tooLarge = nil, true
	}
	if !c.tooLarge {
		c.body = append(c.body, b...)
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController flush and set deadlines.
func (c *capture) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Hijack refuses: an answer that goes around the capture cannot be kept.
func (c *capture) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// Flush keeps handlers working that ask for an http.Flusher.
func (c *capture) Flush() { _ = c.FlushError() }

// FlushError flushes; the status is 200 from then on if none was written.
func (c *capture) FlushError() error {
	c.begin(http.StatusOK)
	return http.NewResponseController(c.ResponseWriter).Flush()
}

// answer is the answer as JSON; one that is too large keeps its status only.
func (c *capture) answer() json.RawMessage {
	if !c.tooLarge {
		b, err := json.Marshal(stored{Status: c.code(), Header: c.header, Body: c.body})
		if err == nil && len(b) <= maxAnswer {
			return b
		}
	}
	b, _ := json.Marshal(stored{Status: c.code(), TooLarge: true}) // an int and a bool marshal
	return b
}
