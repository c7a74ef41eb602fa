package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxCheckpoint bounds a signed checkpoint in bytes, for readers.
const MaxCheckpoint = 16 << 10

// Checkpoint is what the log's key signs: how many entries the log has and
// the Merkle root over them (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string // the log's name, which is also its key's name
	Size   int64
	Root   tlog.Hash
}

// Text returns the signed text. It is written here because tlog.FormatTree
// has the Go checksum database's first line built in.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// Sign returns the checkpoint as a signed note.
func (c Checkpoint) Sign(s note.Signer) ([]byte, error) {
	if c.Origin != s.Name() {
		return nil, fmt.Errorf("audit: checkpoint of %q cannot be signed by the key of %q", c.Origin, s.Name())
	}
	b, err := note.Sign(&note.Note{Text: c.Text()}, s)
	if err != nil {
		return nil, fmt.Errorf("audit: sign checkpoint: %w", err)
	}
	return b, nil
}

// ParseCheckpoint reads a checkpoint's text, without its signatures.
// Extension lines are allowed, as the specification wants, and ignored.
func ParseCheckpoint(text string) (Checkpoint, error) {
	bad := errors.New("audit: malformed checkpoint")
	lines := strings.Split(text, "\n")
	if len(text) > MaxCheckpoint || len(lines) < 4 || lines[len(lines)-1] != "" || lines[0] == "" {
		return Checkpoint{}, bad
	}
	for _, extension := range lines[3 : len(lines)-1] {
		if extension == "" {
			return Checkpoint{}, bad
		}
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, bad
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	// Even a strict decoder passes over carriage returns: only what encodes to
	// the same text is the root's one form.
	if err != nil || len(root) != tlog.HashSize || base64.StdEncoding.EncodeToString(root) != lines[2] {
		return Checkpoint{}, bad
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}, nil
}

// OpenCheckpoint verifies the signature of a signed checkpoint by v and
// returns what it says. Its origin must be v's name.
func OpenCheckpoint(signed []byte, v note.Verifier) (Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("audit: checkpoint is over %d bytes", MaxCheckpoint)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	var other *note.UnverifiedNoteError
	if errors.As(err, &other) {
		by := "nobody"
		if len(other.Note.UnverifiedSigs) > 0 {
			s := other.Note.UnverifiedSigs[0]
			by = fmt.Sprintf("%s+%08x", s.Name, s.Hash)
		}
		return Checkpoint{}, fmt.Errorf("audit: %w %s+%08x but by %s", errOtherKey, v.Name(), v.KeyHash(), by)
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: checkpoint: %w", err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.Name() {
		return Checkpoint{}, fmt.Errorf("audit: checkpoint is of log %q, not of %q", c.Origin, v.Name())
	}
	return c, nil
}

// errOtherKey tells a note that another key signed from a damaged one.
var errOtherKey = errors.New("checkpoint is not signed by")

// unverified reads a signed checkpoint without checking who signed it.
func unverified(signed []byte) (Checkpoint, error) {
	var other *note.UnverifiedNoteError
	if _, err := note.Open(signed, nil); !errors.As(err, &other) {
		return Checkpoint{}, fmt.Errorf("audit: checkpoint: %w", err)
	}
	return ParseCheckpoint(other.Note.Text)
}

// Key signs checkpoints, and with them the whole log. It holds a private
// key: never print or marshal it.
type Key struct {
	note.Signer
	vkey string
}

// GenerateKey makes a new key. The origin names the log, for example
// "gantry.example.com/audit"; it has no spaces and no plus sign. Secret is
// what ParseKey reads; it belongs in a file of mode 0600.
func GenerateKey(origin string) (secret, vkey string, err error) {
	if secret, vkey, err = note.GenerateKey(rand.Reader, origin); err != nil {
		return "", "", fmt.Errorf("audit: generate key: %w", err)
	}
	if _, err := note.NewSigner(secret); err != nil {
		return "", "", fmt.Errorf("audit: %q cannot name a log; use letters, digits, dots and slashes", origin)
	}
	return secret, vkey, nil
}

// ParseKey reads the secret that GenerateKey made. Its errors never repeat
// the secret.
func ParseKey(secret string) (*Key, error) {
	secret = strings.TrimSpace(secret)
	s, err := note.NewSigner(secret)
	if err != nil {
		return nil, errors.New(`audit: the audit key is malformed; it starts with "PRIVATE+KEY+" (make one with: gantry audit keygen)`)
	}
	// note keeps the public half to itself; it follows from the seed, the
	// last field, which NewSigner has just found to be well-formed.
	parts := strings.SplitN(secret, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, errors.New("audit: the audit key is malformed")
	}
	pub, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("audit: the audit key is not an ed25519 key")
	}
	vkey, err := note.NewEd25519VerifierKey(s.Name(), pub)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return &Key{Signer: s, vkey: vkey}, nil
}

// VerifierKey returns the public half, which an outsider pins:
// "<origin>+<hash>+<key>".
func (k *Key) VerifierKey() string { return k.vkey }

// ParseVerifierKey reads the public half of a key.
func ParseVerifierKey(vkey string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		return nil, errors.New(`audit: the verifier key is malformed; it looks like "<origin>+<8 hex digits>+<base64>"`)
	}
	return v, nil
}
