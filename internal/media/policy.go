package media

import (
	"slices"

	"avalo.app/gantry/internal/media/walk"
)

// Policy is what an operator decides about uploads.
type Policy struct {
	Sanitise bool            // whether images lose their metadata
	MaxSize  map[Class]int64 // in bytes; a class that is not there is not accepted
	Refused  []string        // types that are not accepted, by their canonical MIME names
}

// DefaultPolicy accepts every type, up to 10 MB for images, 100 MB for
// video and 20 MB for audio, and sanitises.
func DefaultPolicy() Policy {
	return Policy{Sanitise: true, MaxSize: map[Class]int64{Image: 10 * MB, Video: 100 * MB, Audio: 20 * MB}}
}

// Types lists what may be uploaded, in the order of the documentation.
func (p Policy) Types() []Type {
	return slices.DeleteFunc(Types(), func(t Type) bool { return !p.accepts(t) })
}

func (p Policy) accepts(t Type) bool {
	return p.MaxSize[t.Class] > 0 && !slices.Contains(p.Refused, t.MIME)
}

// mimes lists the canonical names of what may be uploaded.
func (p Policy) mimes() []string {
	var out []string
	for _, t := range p.Types() {
		out = append(out, t.MIME)
	}
	return out
}

// Largest is the size in bytes of the largest file that may be uploaded, and
// its class.
func (p Policy) Largest() (Class, int64) {
	var class Class
	for _, c := range []Class{Image, Video, Audio} {
		if p.MaxSize[c] > p.MaxSize[class] {
			class = c
		}
	}
	return class, p.MaxSize[class]
}

// guessed returns the types that content may turn out to be which begins as
// t: sound alone and moving pictures share one container, and only its end
// tells.
func guessed(t Type) []Type {
	movies := []walk.Format{walk.MP4, walk.QuickTime, walk.M4A}
	if !slices.Contains(movies, t.Format) {
		return []Type{t}
	}
	return slices.DeleteFunc(Types(), func(o Type) bool { return !slices.Contains(movies, o.Format) })
}

// bound is the limit that holds before the type is certain, in bytes, and
// the class that it is of; 0 if nothing that t may become is accepted.
func (p Policy) bound(t Type) (class Class, limit int64) {
	for _, o := range guessed(t) {
		if p.accepts(o) && p.MaxSize[o.Class] > limit {
			class, limit = o.Class, p.MaxSize[o.Class]
		}
	}
	return class, limit
}
