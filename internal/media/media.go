package media

import (
	"context"
	"io"
	"time"

	"avalo.app/gantry/internal/fault"
)

// Object is stored content: one for each owner and content, however often it
// was uploaded.
type Object struct {
	ID        string
	Owner     string // the host's user id
	SHA256    string // of the original bytes, in hex
	Key       string // in the bucket
	MIME      string
	Size      int64 // of the original
	Stored    int64 // of what is in the bucket
	CreatedAt time.Time
}

// UploadState is where an upload stands.
type UploadState string

// The states. A refused upload has no row, but for its entry in the verdict
// log.
const (
	Quarantined UploadState = "quarantined" // its bytes are not verified yet
	Verified    UploadState = "verified"
)

// Upload is one reference to an object, or an object that waits in
// quarantine.
type Upload struct {
	ID         string
	Owner      string
	State      UploadState
	Name       string // safe
	Declared   string // type, normalised
	Size       int64  // declared, then measured
	Quarantine string // key in quarantine, also once verified; "" if it never was there
	Object     Object // zero while quarantined
	CreatedAt  time.Time
	VerifiedAt time.Time
	// Scanned is what the malware scanner said: clean, infected, unscanned.
	Scanned Scan
}

// Refusal is an entry of the verdict log: an upload that was refused.
type Refusal struct {
	ID        string
	At        time.Time
	OwnerHash string
	Flow      string // validate, inspect, upload, tus, verify
	Code      fault.Code
	Reason    string
	Declared  string
	Detected  string
	Limit     int64
	Actual    int64
}

// Store keeps uploads, objects and the verdict log. Each method is one
// transaction; a caller that got an error may repeat it. All may be called at
// once from many nodes.
type Store interface {
	// BeginObject answers whether the owner's content is stored: then live is
	// true. Else it notes that the object is being written under the key that it
	// returns; two that write the same content at once are given the same key
	// and id. It is no effect of a request: whoever dies behind it has done
	// nothing.
	BeginObject(ctx context.Context, o Object) (got Object, live bool, err error)

	// FinishObject makes the object that was begun public, and u a reference to
	// it. NOT_FOUND if u waited in quarantine and was dropped meanwhile; CONFLICT
	// if the object was deleted or collected meanwhile.
	FinishObject(ctx context.Context, id string, u Upload) (Upload, error)

	// Quarantine adds an upload whose bytes wait in quarantine; one that is
	// there already, by its key, stays and is returned.
	Quarantine(ctx context.Context, u Upload) (Upload, error)

	// MediaUpload returns one upload; NOT_FOUND if there is none.
	MediaUpload(ctx context.Context, id string) (Upload, error)

	// DropUpload removes an upload, if it is in the state ("": any), and notes r
	// in the verdict log if it is not nil; CONFLICT if it is in another one. It
	// returns the object if no other upload refers to it: the caller deletes its
	// bytes. Its row stays for Abandoned, since somebody may be writing the same
	// bytes just then.
	DropUpload(ctx context.Context, id string, state UploadState, r *Refusal) (orphan Object, err error)

	// ForgetObject removes the row of an object that Abandoned returned.
	ForgetObject(ctx context.Context, id string) error
}

// Log keeps refusals, and finds what was left behind.
type Log interface {
	// Refuse adds an entry.
	Refuse(ctx context.Context, r Refusal) error

	// Refusals returns at most limit entries, newest first.
	Refusals(ctx context.Context, f RefusalFilter) ([]Refusal, error)

	// Abandoned returns at most limit objects that were begun, or orphaned,
	// before a moment and are not referred to.
	Abandoned(ctx context.Context, before time.Time, limit int) ([]Object, error)

	// Waiting returns at most limit uploads that wait in quarantine since before
	// a moment, oldest first.
	Waiting(ctx context.Context, before time.Time, limit int) ([]Upload, error)
}

// RefusalFilter selects refusals. Zero members select everything.
type RefusalFilter struct {
	OwnerHash string
	Code      fault.Code
	Since     time.Time
	Limit     int // 0: 100; never over 1000
}

// Blob is an object in the bucket.
type Blob struct {
	Key     string
	Size    int64
	Version string // of the bytes, as far as Open can tell: an ETag or a generation
	At      time.Time
}

// Bucket is where content lies. Keys are made by this package: lower case
// letters, digits, and / - _ . only.
type Bucket interface {
	// Put writes r under key, durably before it returns. An interrupted Put
	// leaves no object under the key. It holds at most 4 MB of r in memory, and
	// may read it twice.
	Put(ctx context.Context, key, mime string, r io.ReadSeeker) error

	// Open reads an object; NOT_FOUND if there is none. All bytes are of the
	// version that Blob names.
	Open(ctx context.Context, key string) (io.ReadCloser, Blob, error)

	// Delete removes an object. One that is not there is no error.
	Delete(ctx context.Context, key string) error

	// List calls fn for each object under the prefix until it returns an error.
	List(ctx context.Context, prefix string, fn func(Blob) error) error

	// Presign returns a URL that accepts one PUT of exactly this type and size
	// until ttl is over, as far as the provider binds them, and the headers that
	// the PUT must send. No provider accepts a second PUT while the first lies
	// there. CONFLICT if the bucket cannot do that.
	Presign(ctx context.Context, key, mime string, size int64, ttl time.Duration) (url string, headers map[string]string, err error)
}

// Scan is what a malware scanner says.
type Scan string

// The answers. A file that was not scanned, for whatever reason, is Unscanned.
const (
	Clean     Scan = "clean"
	Infected  Scan = "infected"
	Unscanned Scan = "unscanned"
)

// Scanner looks for malware.
type Scanner interface {
	// Scan reads a file of the size. The name is what was found, or why it was
	// not scanned. It does not fail: what it cannot say is Unscanned.
	Scan(ctx context.Context, r io.Reader, size int64) (s Scan, name string)
}
