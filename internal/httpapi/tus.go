package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	"golang.org/x/exp/slog" // the type of tusd's logger

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
)

// TusFiles keeps the bytes of resumable uploads until they are stored.
type TusFiles interface {
	// NewUpload begins an upload under the id that info gives it; GetUpload
	// finds it, with the offset of what WriteChunk acknowledged. What was
	// acknowledged outlives the process.
	handler.DataStore
	handler.TerminaterDataStore
	// Finish drops the bytes of an upload that is stored. It is found all the
	// same from then on, with its whole size as offset; its GetReader fails with
	// fs.ErrNotExist.
	Finish(id string) error
}

const (
	tusPath = "/v1/media/tus/"
	// tusUploadHeader names the upload that a resumable upload became.
	tusUploadHeader = "X-Gantry-Upload"
	// tusHolder is the metadatum that says whose credential made an upload. No
	// client sees it.
	tusHolder = "gantry-holder"
)

// newTus builds tusd's handler: creation, with the first bytes or without,
// and termination; no downloads, no cross-origin answers, no deferred length,
// no concatenation.
func (s *Server) newTus() *handler.UnroutedHandler {
	store := tusStore{s}
	c := handler.NewStoreComposer()
	c.UseCore(store)
	c.UseTerminater(store)
	// A request for an upload that another one is sending ends that other one:
	// it is most often the same client, whose connection broke.
	memorylocker.New().UseIn(c)
	h, err := handler.NewUnroutedHandler(handler.Config{
		StoreComposer: c, BasePath: tusPath, DisableDownload: true, DisableConcatenation: true, Cors: &handler.CorsConfig{Disable: true},
		PreUploadCreateCallback: s.tusAccept, PreFinishResponseCallback: s.tusFinish, NetworkTimeout: stall,
		Logger: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1})), // the access log says what there is to say
	})
	if err != nil {
		panic("httpapi: tus: " + err.Error()) // only a bug of ours
	}
	return h
}

// tusCall is what one request for a resumable upload comes to, beside what
// tusd says of it.
type tusCall struct {
	w      http.ResponseWriter
	method string
	user   string           // the parameter userId
	holder string           // who asks
	failed error            // why it is refused; nil: tusd knows
	stored *api.MediaUpload // what the upload became
}

type tusKey struct{}

func tusCallOf(ctx context.Context) *tusCall { return ctx.Value(tusKey{}).(*tusCall) }

// fail keeps the error for the answer.
func (c *tusCall) fail(err error) error {
	c.failed = err
	return err
}

func (s *Server) tusCreate(w http.ResponseWriter, r *http.Request)  { s.serveTus(w, r, s.tus.PostFile) }
func (s *Server) tusOffset(w http.ResponseWriter, r *http.Request)  { s.serveTus(w, r, s.tus.HeadFile) }
func (s *Server) tusAppend(w http.ResponseWriter, r *http.Request)  { s.serveTus(w, r, s.tus.PatchFile) }
func (s *Server) tusDelete(w http.ResponseWriter, r *http.Request)  { s.serveTus(w, r, s.tus.DelFile) }
func (s *Server) tusOptions(w http.ResponseWriter, r *http.Request) { s.serveTus(w, r, http.NotFound) }

// serveTus lets tusd handle a request and writes what came of it.
func (s *Server) serveTus(w http.ResponseWriter, r *http.Request, h http.HandlerFunc) {
	p := callerOf(r.Context()).principal
	call := &tusCall{w: w, method: r.Method, user: r.URL.Query().Get("userId"), holder: p.Owner}
	if call.holder == "" {
		call.holder = p.ID
	}
	call.holder = s.d.Media.OwnerHash("holder " + call.holder)
	id := r.PathValue("id")
	answer := &tusAnswer{ResponseWriter: w}
	if id != "" && !s.tusHeld(r.Context(), id, call.holder) {
		call.failed = fault.New(fault.NotFound, "httpapi.tus", "there is no such resumable upload: it was refused, deleted, or waited for longer than a day")
		w.Header().Set("Tus-Resumable", "1.0.0")
	} else {
		r := r.Clone(context.WithValue(r.Context(), tusKey{}, call))
		r.URL = &url.URL{Path: id}
		r.Header.Del("X-HTTP-Method-Override") // the route table has decided
		s.tus.Middleware(h).ServeHTTP(answer, r)
	}
	s.writeTus(w, r, call, answer)
}

// tusHeld reports whether the holder made the upload. It is asked before
// tusd takes the upload's lock, so that nobody else disturbs it.
func (s *Server) tusHeld(ctx context.Context, id, holder string) bool {
	u, err := s.d.Tus.GetUpload(ctx, id)
	if err != nil {
		return !errors.Is(err, handler.ErrNotFound) // tusd fails the same way, and says so
	}
	info, err := u.GetInfo(ctx)
	return err == nil && info.MetaData[tusHolder] == holder
}

// tusAnswer holds tusd's answer back until it is known what to make of it.
type tusAnswer struct {
	http.ResponseWriter
	status int
	text   bytes.Buffer
}

func (a *tusAnswer) WriteHeader(status int) { a.status = status }

func (a *tusAnswer) Write(b []byte) (int, error) { return a.text.Write(b) }

// Unwrap lets http.ResponseController reach the connection.
func (a *tusAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (s *Server) writeTus(w http.ResponseWriter, r *http.Request, call *tusCall, a *tusAnswer) {
	h := w.Header()
	if call.failed != nil || a.status >= http.StatusBadRequest {
		for _, name := range []string{"Content-Length", "Content-Type", "Upload-Offset", "Location"} {
			h.Del(name)
		}
		_, _ = io.CopyN(io.Discard, r.Body, drained) // what does not come needs no reading
		p := s.tusProblem(s.caller(w, r, access.Principal{}), call.failed, a)
		if call.method == http.MethodHead && p.Status >= http.StatusInternalServerError {
			p.Status = http.StatusLocked // clients ask again after this, and begin anew after any other failure
		}
		s.writeProblem(w, false, p)
		return
	}
	if l, err := url.Parse(h.Get("Location")); err == nil && l.Path != "" {
		h.Set("Location", l.Path) // whatever host and scheme the client knows this server by
	}
	if call.method == http.MethodOptions {
		_, largest := s.d.Media.Policy().Largest()
		h.Set("Tus-Max-Size", strconv.FormatInt(largest, 10))
	}
	if call.stored != nil {
		h.Set(tusUploadHeader, call.stored.ID)
	}
	if call.stored == nil || call.method == http.MethodHead {
		w.WriteHeader(a.status)
		return
	}
	status := http.StatusOK
	if call.method == http.MethodPost {
		status = http.StatusCreated
	}
	writeJSON(w, status, "application/json", call.stored)
}

// tusProblem is the document of a refusal: of its own cause, or of what tusd
// found wrong with the request.
func (s *Server) tusProblem(c caller, cause error, a *tusAnswer) *api.Problem {
	if cause != nil {
		return s.problem(c, cause)
	}
	code, text, _ := bytes.Cut(bytes.TrimSpace(a.text.Bytes()), []byte(": "))
	if a.status >= http.StatusInternalServerError && len(code) == 0 {
		return s.problem(c, errors.New("tus: an answer without a reason"))
	}
	f, status := fault.Invalid("httpapi.tus", fault.Field{Problem: string(code)}, "%s", text), a.status
	switch string(code) {
	case "ERR_INTERNAL_SERVER_ERROR":
		return s.problem(c, errors.New("tus: "+string(text)))
	case "ERR_UPLOAD_NOT_FOUND":
		f.Code, f.Msg = fault.NotFound, "there is no such resumable upload"
	case "ERR_MISMATCHED_OFFSET":
		f.Code, f.Msg = fault.Conflict, "the offset is not where the upload ends: ask for it with HEAD and go on from there"
	case "ERR_UPLOAD_INTERRUPTED":
		f.Code, f.Msg, status = fault.Conflict, "another request goes on with this upload: ask for its offset with HEAD", http.StatusConflict
	case "ERR_LOCK_TIMEOUT", "ERR_UPLOAD_LOCKED":
		f.Code, f.Msg, status = fault.Conflict, "another request works on this upload: try again in a moment", http.StatusLocked
	case "ERR_UPLOAD_SIZE_EXCEEDED":
		f.Code, f.Msg = fault.FileTooLarge, "there are more bytes than Upload-Length said"
	case "ERR_NOT_IMPLEMENTED":
		f.Msg, status = "the upload's length must be known when it is created: send Upload-Length", http.StatusBadRequest
	case "ERR_READ_TIMEOUT", "ERR_CONNECTION_RESET", "ERR_UNEXPECTED_EOF":
		// Clients go on after a 5xx, and only then.
		f.Code, f.Msg, status = fault.ServiceDegraded, "the bytes stopped coming: ask for the upload's offset with HEAD and go on from there", http.StatusServiceUnavailable
	}
	p := c.problem(f)
	p.Status = status
	return p
}

// tusAccept decides whether an upload may begin.
func (s *Server) tusAccept(e handler.HookEvent) (handler.HTTPResponse, handler.FileInfoChanges, error) {
	call, m := tusCallOf(e.Context), e.Upload.MetaData
	user := m["userId"]
	if user == "" {
		user = call.user
	}
	info := e.Upload
	info.ID = media.NewID()
	info.MetaData = handler.MetaData{"filename": m["filename"], "filetype": m["filetype"], "userId": user, tusHolder: call.holder}
	err := error(nil)
	switch {
	case user == "":
		err = fault.Invalid("httpapi.tus", fault.Field{Field: "userId", Problem: "missing"}, "say whose upload it is: send userId in Upload-Metadata or as a parameter")
	case e.HTTPRequest.Header.Get("Upload-Concat") != "":
		err = fault.Invalid("httpapi.tus", fault.Field{Field: "Upload-Concat", Problem: "not supported"}, "uploads are not put together from others here: send one upload a file")
	default:
		if _, err = s.d.Media.Validate(e.Context, user, tusDeclared(info)); err == nil {
			err = s.d.Media.Charge(e.Context, user)
		}
	}
	if err != nil {
		return handler.HTTPResponse{}, handler.FileInfoChanges{}, call.fail(err)
	}
	return handler.HTTPResponse{}, handler.FileInfoChanges{ID: info.ID, MetaData: info.MetaData}, nil
}

func tusDeclared(i handler.FileInfo) media.Declared {
	return media.Declared{Name: i.MetaData["filename"], MIME: i.MetaData["filetype"], Size: i.Size, Ref: i.ID}
}

// tusFinish is called behind an upload's last byte.
func (s *Server) tusFinish(e handler.HookEvent) (handler.HTTPResponse, error) {
	u, err := s.d.Tus.GetUpload(e.Context, e.Upload.ID)
	if err == nil {
		err = s.settleTus(e.Context, u, e.Upload)
	}
	return handler.HTTPResponse{}, err
}

// settleTus judges an upload whose bytes are all here, and stores it. Cut off
// at any instant it may be called again: the upload has one id from its
// beginning, under which it is stored, or its refusal noted, once.
func (s *Server) settleTus(ctx context.Context, u handler.Upload, info handler.FileInfo) error {
	call := tusCallOf(ctx)
	_ = http.NewResponseController(call.w).SetWriteDeadline(time.Now().Add(settling + stall)) // a test's recorder has none
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settling)                  // the client may be gone
	defer cancel()
	switch done, err := s.d.Media.Upload(ctx, info.ID); {
	case err == nil:
		call.stored = new(uploadOut(done))
		return call.fail(s.d.Tus.Finish(info.ID))
	case fault.CodeOf(err) != fault.NotFound:
		return call.fail(err)
	}
	got, err := s.judgeTus(ctx, u, info)
	if errors.Is(err, fs.ErrNotExist) || media.Refuses(fault.CodeOf(err)) {
		err = errors.Join(call.fail(err), s.d.Tus.AsTerminatableUpload(u).Terminate(ctx))
	}
	if err != nil {
		return call.fail(err)
	}
	defer got.Close()
	stored, err := got.Keep(ctx, info.ID)
	if err != nil {
		return call.fail(err)
	}
	call.stored = new(uploadOut(stored))
	call.stored.Verdict = new(verdictOut(got.Verdict, got.Scanned))
	return call.fail(s.d.Tus.Finish(info.ID))
}

func (s *Server) judgeTus(ctx context.Context, u handler.Upload, info handler.FileInfo) (*media.Received, error) {
	r, err := u.GetReader(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fault.Error{Code: fault.NotFound, Op: "httpapi.tus", Err: err, Msg: "the upload was stored, and deleted since"}
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return s.d.Media.Receive(ctx, info.MetaData["userId"], "tus", tusDeclared(info), r)
}

// tusStore stands between tusd and the files: no byte is acknowledged before
// the first ones were judged, and no offset at the end is told before the
// whole was. tusd holds an upload's lock around all of it.
type tusStore struct{ s *Server }

// NewUpload implements handler.DataStore.
func (t tusStore) NewUpload(ctx context.Context, info handler.FileInfo) (handler.Upload, error) {
	u, err := t.s.d.Tus.NewUpload(ctx, info)
	if err != nil {
		return nil, tusCallOf(ctx).fail(fault.Wrap(fault.ServiceDegraded, "httpapi.tus", err))
	}
	return t.wrap(ctx, u)
}

// GetUpload implements handler.DataStore. What a crash left whole and without
// a verdict gets it here.
func (t tusStore) GetUpload(ctx context.Context, id string) (handler.Upload, error) {
	u, err := t.s.d.Tus.GetUpload(ctx, id)
	if err != nil {
		return nil, err
	}
	w, err := t.wrap(ctx, u)
	if err == nil && w.info.MetaData[tusHolder] != tusCallOf(ctx).holder {
		return nil, handler.ErrNotFound
	}
	if err != nil || tusCallOf(ctx).method == http.MethodDelete || w.info.Offset < w.info.Size {
		return w, err
	}
	return w, t.s.settleTus(ctx, u, w.info)
}

// AsTerminatableUpload implements handler.TerminaterDataStore.
func (t tusStore) AsTerminatableUpload(u handler.Upload) handler.TerminatableUpload {
	return t.s.d.Tus.AsTerminatableUpload(u.(*tusUpload).Upload)
}

func (t tusStore) wrap(ctx context.Context, u handler.Upload) (*tusUpload, error) {
	info, err := u.GetInfo(ctx)
	return &tusUpload{Upload: u, s: t.s, info: info}, err
}

type tusUpload struct {
	handler.Upload
	s    *Server
	info handler.FileInfo
}

// GetInfo implements handler.Upload.
func (u *tusUpload) GetInfo(ctx context.Context) (handler.FileInfo, error) {
	info, err := u.Upload.GetInfo(ctx)
	info.MetaData = maps.Clone(info.MetaData)
	delete(info.MetaData, tusHolder)
	return info, err
}

// WriteChunk implements handler.Upload.
func (u *tusUpload) WriteChunk(ctx context.Context, offset int64, src io.Reader) (int64, error) {
	call := tusCallOf(ctx)
	if offset < media.SniffLen {
		began, err := u.begin(ctx, offset, src)
		if err != nil {
			_, _ = io.CopyN(io.Discard, src, drained) // a client that sends before it reads gets the answer
			return 0, call.fail(err)
		}
		src = io.MultiReader(bytes.NewReader(began), src)
	}
	n, err := u.Upload.WriteChunk(ctx, offset, src)
	if err != nil {
		call.failed = fault.Wrap(fault.ServiceDegraded, "httpapi.tus", err)
	}
	return n, err
}

// begin judges the first bytes, and returns those of src that it read.
func (u *tusUpload) begin(ctx context.Context, offset int64, src io.Reader) ([]byte, error) {
	head := make([]byte, min(media.SniffLen, u.info.Size))
	if offset > 0 {
		there, err := u.GetReader(ctx)
		if err != nil {
			return nil, err
		}
		_, err = io.ReadFull(there, head[:offset])
		if err := errors.Join(err, there.Close()); err != nil {
			return nil, err
		}
	}
	n, err := io.ReadFull(src, head[offset:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	end := offset + int64(n)
	err = u.s.d.Media.Begins(ctx, u.info.MetaData["userId"], "tus", tusDeclared(u.info), head[:end], end == u.info.Size)
	if media.Refuses(fault.CodeOf(err)) {
		err = errors.Join(err, u.s.d.Tus.AsTerminatableUpload(u.Upload).Terminate(ctx))
	}
	return head[offset:end], err
}
