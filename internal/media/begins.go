package media

import (
	"context"
	"strings"
)

// conclusive is how many first bytes settle what a file is not. The signature
// of every accepted format lies within them; fewer may cut it in two.
const conclusive = 512

// Begins judges the first bytes of a file, at most SniffLen of them, before
// the rest is there; whole says that there is no rest. It refuses with the
// code of Inspect, by name, type and size, and passes what more bytes could
// make acceptable: Inspect has the last word.
func (i *Inspector) Begins(d Declared, head []byte, whole bool) (Verdict, error) {
	v, err := i.Policy().kind(d, head)
	if err != nil && !whole && len(head) < conclusive && mayBecome(v.MIME) {
		return v, nil
	}
	return v, err
}

// mayBecome reports whether the guess at a type by few bytes may change with
// more: a sniffer says text or nothing of what it does not know yet, and
// brands and codecs of a container come one by one.
func mayBecome(mime string) bool {
	kind, _, _ := strings.Cut(mime, "/")
	switch kind {
	case "", "text", "image", "audio", "video":
		return mime != "text/html" && mime != "text/x-php"
	}
	return mime == "application/octet-stream" || mime == "application/ogg"
}

// Begins judges the first bytes of an upload that arrives in pieces; see
// Inspector.Begins. A refusal leaves one entry in the verdict log.
func (s *Service) Begins(ctx context.Context, owner, flow string, d Declared, head []byte, whole bool) error {
	v, err := s.o.Inspector.Begins(d, head, whole)
	if err != nil {
		return s.note(ctx, owner, flow, d, v, err)
	}
	return nil
}
