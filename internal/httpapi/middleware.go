package httpapi

import (
	"context"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/fault"
)

// requestIDHeader carries the id that ties an answer to its log lines.
const requestIDHeader = "X-Request-Id"

// outer runs before routing: it gives every answer a request id and the
// headers that hold for all of them.
func (s *Server) outer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h[requestIDHeader] = []string{requestID(r)}
		h["X-Content-Type-Options"] = noSniff
		next.ServeHTTP(w, r)
	})
}

var noSniff = []string{"nosniff"}

// requestID takes over a caller's id if it is short and plain, so that one
// id runs through the caller's logs and ours; else it makes one.
func requestID(r *http.Request) string {
	if id := r.Header.Get(requestIDHeader); id != "" && len(id) <= 64 && strings.Trim(id, idAlphabet) == "" {
		return id
	}
	var b [12]byte
	lo, hi := rand.Uint64(), rand.Uint32()
	for i := range 8 {
		b[i] = byte(lo >> (8 * i))
	}
	for i := range 4 {
		b[8+i] = byte(hi >> (8 * i))
	}
	return hex.EncodeToString(b[:])
}

const idAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// caller is what a handler may know of the request beside its input.
type caller struct {
	principal access.Principal
	requestID string
	language  string
	instance  string
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// inner runs after routing: permission, idempotency, body bound, then the
// handler; and around them metrics, access log and the net under panics.
func (s *Server) inner(route Route, h http.HandlerFunc) http.HandlerFunc {
	observe := s.metrics.route(route)
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				s.panicked(rec, r, p)
			}
			observe(rec.code(), time.Since(start))
			s.accessLog(route, rec, r, start)
		}()
		s.serve(route, h, rec, r)
	}
}

func (s *Server) serve(route Route, h http.HandlerFunc, w *recorder, r *http.Request) {
	if forBrowsers(r) {
		s.allowOrigin(w, r)
	}
	if route.Slow {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(settling + stall)) // a test's recorder has none
	}
	principal, err := s.authorize(route, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if r.Body != nil && r.Body != http.NoBody && !route.Large {
		r.Body = http.MaxBytesReader(w, r.Body, s.d.MaxBody)
	}
	key := ""
	if route.Mutates {
		key = r.Header.Get("Idempotency-Key")
	}
	if !route.Hot || key != "" {
		r = r.WithContext(context.WithValue(r.Context(), callerKey{}, s.caller(w, r, principal)))
	}
	if key != "" {
		s.idempotent(route, key, h, w, r)
		return
	}
	h(w, r)
}

func (s *Server) caller(w http.ResponseWriter, r *http.Request, p access.Principal) caller {
	return caller{principal: p, requestID: w.Header().Get(requestIDHeader), language: language(r), instance: r.URL.Path}
}

func (s *Server) panicked(w *recorder, r *http.Request, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.d.Log.Error("handler panicked", "requestId", w.Header().Get(requestIDHeader), "panic", p, "stack", string(debug.Stack()))
	if w.status == 0 {
		s.fail(w, r, fault.New(fault.Internal, "httpapi", ""))
	}
}

// accessLog writes one line per request: the hot path only when it fails on
// our side or the level is debug. It never names subjects, queries or keys.
func (s *Server) accessLog(route Route, w *recorder, r *http.Request, start time.Time) {
	level := slog.LevelInfo
	if (route.Hot || route.Permission == access.ReadPublic) && w.code() < 500 {
		level = slog.LevelDebug
	}
	if !s.d.Log.Enabled(r.Context(), level) {
		return
	}
	s.d.Log.LogAttrs(r.Context(), level, "request",
		slog.String("requestId", w.Header().Get(requestIDHeader)),
		slog.String("route", route.Name), slog.Int("status", w.code()),
		slog.Int64("bytes", w.bytes), slog.Duration("took", time.Since(start)))
}

// recorder remembers the status and size of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// noRoute answers what no route matches: 405 when another method would.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	if forBrowsers(r) {
		s.allowOrigin(w, r)
	}
	var allow []string
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := r.Clone(r.Context())
		probe.Method = m
		if _, pattern := s.mux.Handler(probe); pattern != "/" {
			allow = append(allow, m)
		}
	}
	if len(allow) == 0 {
		s.fail(w, r, fault.New(fault.NotFound, "httpapi", "there is nothing at this path; GET /docs lists the routes"))
		return
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	p := s.problem(s.caller(w, r, access.Principal{}), fault.Invalid("httpapi",
		fault.Field{Field: "method", Actual: r.Method, Allowed: allow}, "this path does not take %s; it takes %s", r.Method, strings.Join(allow, ", ")))
	p.Status = http.StatusMethodNotAllowed
	s.writeProblem(w, isCallable(r), p)
}
