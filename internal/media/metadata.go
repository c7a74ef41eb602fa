package media

import (
	"strconv"

	"avalo.app/gantry/internal/fault"
)

// Metadata is what is known of a file before its bytes. What could not be
// told is empty.
type Metadata struct {
	Filename string // clean, with the extension of the type
	Type     Type
	MaxSize  int64 // of the type's class, in bytes
}

// Validate judges a file by what a client says of it: its name, its
// MIME type and its size in bytes. An absent type, or one that says nothing,
// is taken from the name's extension. The error is FILENAME_NOT_ALLOWED,
// MIME_TYPE_NOT_ALLOWED, FILE_TOO_LARGE or INVALID_ARGUMENT (a size below
// one), in that order, and the Metadata then holds what was found so far.
//
// What passes here may upload; the bytes are judged when they come.
func (p Policy) Validate(filename, mimeType string, size int64) (Metadata, error) {
	const op = "media.Validate"
	t, known := TypeNamed(mimeType)
	name, err := CleanName(filename, t.Format)
	if err != nil {
		return Metadata{Type: t, MaxSize: p.MaxSize[t.Class]}, err
	}
	if !known && Undeclared(mimeType) {
		if t, known = TypeByExtension(extension(name)); !known {
			e := fault.New(fault.MIMETypeNotAllowed, op, "neither the MIME type nor the file name says what the file is: send its MIME type")
			e.Detail = fault.Field{Field: "mimeType", Problem: "unknown", Actual: shown(mimeType), Allowed: p.mimes()}
			return Metadata{Filename: name}, e
		}
	}
	m := Metadata{Filename: name, Type: t, MaxSize: p.MaxSize[t.Class]}
	switch {
	case !known || !p.accepts(t):
		e := fault.New(fault.MIMETypeNotAllowed, op, "files of the type %q are not accepted", shown(mimeType))
		e.Detail = fault.Field{Field: "mimeType", Problem: "not allowed", Actual: shown(mimeType), Allowed: p.mimes()}
		return m, e
	case size < 1:
		return m, fault.Invalid(op, fault.Field{Field: "size", Problem: "below one", Limit: 1, Actual: size}, "the size must be at least one byte: send the file's size in bytes")
	case size > m.MaxSize:
		return m, p.tooLarge(t.Class, size)
	}
	return m, nil
}

// tooLarge is the refusal of a file by its class's size limit; both numbers
// are in bytes.
func (p Policy) tooLarge(c Class, size int64) *fault.Error {
	limit := p.MaxSize[c]
	e := fault.New(fault.FileTooLarge, "media", "the file has %d bytes, the limit for %s files is %d (%s)", size, c, limit, megabytes(limit))
	e.Detail = fault.Field{Field: "size", Problem: "too large", Limit: limit, Actual: size}
	return e
}

// megabytes is a number of bytes for people.
func megabytes(n int64) string {
	return strconv.FormatFloat(float64(n)/MB, 'f', -1, 64) + " MB"
}

// extension returns what follows a clean name's last dot.
func extension(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return name[i+1:]
		}
	}
	return ""
}

// shown is a MIME type as an answer may repeat it.
func shown(mimeType string) string { return visible(cut(essence(mimeType), 100)) }
