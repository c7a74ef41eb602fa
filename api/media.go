package api

import (
	"encoding/base64"
	"time"
	"unicode/utf8"
)

// MediaMetadata is what is known of a file before its bytes.
type MediaMetadata struct {
	Filename string `json:"filename,omitempty" maxLength:"8192" doc:"As the user's device calls it" example:"IMG_0042.JPG"`
	MIMEType string `json:"mimeType,omitempty" maxLength:"256" doc:"As declared; absent or application/octet-stream if unknown" example:"image/jpeg"`
	Size     int64  `json:"size" doc:"Bytes"`
	UserID   string `json:"userId,omitempty" maxLength:"128" doc:"Whose upload it is"`
}

// MediaValidation answers whether such a file may be uploaded; its bytes are
// judged when they come.
type MediaValidation struct {
	Allowed     bool   `json:"allowed"`
	Code        Code   `json:"code,omitempty" doc:"Why not"`
	Message     string `json:"message,omitempty" doc:"Text for the user, in the language asked for"`
	Details     any    `json:"details,omitempty" doc:"The limit and the actual value"`
	Filename    string `json:"sanitizedFilename,omitempty" doc:"One safe path component"`
	MIMEType    string `json:"mimeType,omitempty" doc:"The type, normalised"`
	Class       string `json:"class,omitempty" enum:"image,video,audio"`
	MaxFileSize int64  `json:"maxFileSize,omitempty" doc:"Bytes, of the class"`
}

// MediaType is one kind of file that may be uploaded.
type MediaType struct {
	MIMEType    string   `json:"mimeType"`
	Class       string   `json:"class" enum:"image,video,audio"`
	Extension   string   `json:"extension" doc:"Of stored files"`
	Aliases     []string `json:"aliases,omitempty" doc:"Other names of the type"`
	MaxFileSize int64    `json:"maxFileSize" doc:"Bytes"`
}

// MediaPart is a range of the original's bytes that was not simply kept, or
// a recognised trailer that was.
type MediaPart struct {
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	What   string `json:"what" example:"exif"`
	Fate   string `json:"fate" enum:"kept,dropped,zeroed"`
}

// MediaVerdict is what the bytes of a file say.
type MediaVerdict struct {
	Filename string      `json:"filename" doc:"Safe, with the extension of the content"`
	MIMEType string      `json:"mimeType" doc:"Of the content"`
	Declared string      `json:"declaredType,omitempty" doc:"Normalised"`
	Class    string      `json:"class" enum:"image,video,audio"`
	Size     int64       `json:"size" doc:"Bytes of the original"`
	Stored   int64       `json:"storedSize" doc:"Bytes that remain after sanitising"`
	SHA256   string      `json:"sha256" doc:"Of the original, in hex"`
	Width    int64       `json:"width,omitempty" doc:"Pixels"`
	Height   int64       `json:"height,omitempty" doc:"Pixels"`
	Frames   int64       `json:"frames,omitempty"`
	Parts    []MediaPart `json:"parts,omitempty" doc:"What was dropped, zeroed, or recognised"`
	Scanned  string      `json:"scanned" enum:"clean,unscanned" doc:"What the malware scanner says"`
}

// MediaUpload is one upload.
type MediaUpload struct {
	ID         string        `json:"id"`
	UserID     string        `json:"userId"`
	State      string        `json:"state" enum:"quarantined,verified"`
	Filename   string        `json:"filename"`
	Path       string        `json:"path,omitempty" doc:"Key in the bucket, once verified"`
	MIMEType   string        `json:"mimeType,omitempty"`
	Size       int64         `json:"size" doc:"Bytes of the original"`
	StoredSize int64         `json:"storedSize,omitempty" doc:"Bytes in the bucket"`
	SHA256     string        `json:"sha256,omitempty" doc:"Of the original, in hex"`
	Scanned    string        `json:"scanned" enum:"clean,unscanned"`
	CreatedAt  time.Time     `json:"createdAt"`
	VerifiedAt *time.Time    `json:"verifiedAt,omitempty"`
	Verdict    *MediaVerdict `json:"verdict,omitempty" doc:"Of the upload that was just judged"`
}

// MediaPresigned is a place in quarantine that accepts one PUT.
type MediaPresigned struct {
	ID        string            `json:"id" doc:"Verify it with this id"`
	URL       string            `json:"url" doc:"PUT the file here"`
	Headers   map[string]string `json:"headers" doc:"That the PUT must send"`
	ExpiresAt time.Time         `json:"expiresAt"`
}

// MediaRefusal is an entry of the verdict log.
type MediaRefusal struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	OwnerHash string    `json:"ownerHash" doc:"Keyed hash of the user id"`
	Flow      string    `json:"flow" enum:"upload,inspect,presign,verify,tus"`
	Code      Code      `json:"code"`
	Reason    string    `json:"reason"`
	Declared  string    `json:"declaredType,omitempty"`
	Detected  string    `json:"detectedType,omitempty"`
	Limit     int64     `json:"limit,omitempty"`
	Actual    int64     `json:"actual,omitempty"`
}

// MediaAwayPrefix is where a host puts uploads into quarantine while Gantry is
// away. Nothing below it is public.
const MediaAwayPrefix = "quarantine/away/"

// maxAwayName is how much of a name a key carries, in bytes: in base64 it is
// one component of a path, of which file systems take 255, with the suffix of a
// file that is being written.
const maxAwayName = 170

// MediaAwayKey is the bucket's key under which a host puts an upload into
// quarantine while Gantry is away: Gantry verifies it when it is back. Owner
// and name travel in the key, so that the bucket needs no metadata. id is
// random, 16 to 64 letters and digits in lower case, and becomes the upload's
// id.
func MediaAwayKey(owner, id, name string) string {
	enc := base64.RawURLEncoding
	if len(name) > maxAwayName {
		name = name[len(name)-maxAwayName:] // the extension is at the end
		for len(name) > 0 && !utf8.RuneStart(name[0]) {
			name = name[1:]
		}
	}
	if name == "" {
		name = "file"
	}
	return MediaAwayPrefix + enc.EncodeToString([]byte(owner)) + "/" + id + "/" + enc.EncodeToString([]byte(name))
}
