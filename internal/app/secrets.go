package app

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretFile returns the trimmed content of a secret: the value given, else
// the file given, else the node's own file at path, which is made with fresh
// at first start. made says that the file is new.
func secretFile(value, file, path string, fresh func() (string, error)) (secret string, made bool, err error) {
	if value != "" {
		return value, false, nil
	}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", false, fmt.Errorf("read the configured secret: %w", err)
		}
		return strings.TrimSpace(string(b)), false, nil
	}
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	secret, err = fresh()
	if err != nil {
		return "", false, err
	}
	return secret, true, writeNew(path, secret+"\n")
}

// writeNew writes a file that must not exist yet, durably, for its owner
// only. A crash leaves no file or the whole file.
func writeNew(path, content string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // after Link it is the second name; before, the rubbish
	if _, err := tmp.WriteString(content); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// newHashKey makes a key of 256 random bits.
func newHashKey() (string, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(b[:]), nil
}

// minHashKey is the least length of a hash key, in characters, wherever it
// comes from.
const minHashKey = 32

// hashKey turns the configured text into the 128 bits that the hasher takes.
func hashKey(text string) (key [16]byte) {
	sum := sha256.Sum256([]byte("gantry hash key v1\x00" + text))
	copy(key[:], sum[:])
	return key
}

// launchHashKey derives the key of invites and e-mail addresses from the
// same text, so that one secret is to be kept and no hash serves as another.
func launchHashKey(text string) []byte {
	sum := sha256.Sum256([]byte("gantry launch hash key v1\x00" + text))
	return sum[:]
}

// mediaHashKey derives the key of owners and object names, likewise.
func mediaHashKey(text string) []byte {
	sum := sha256.Sum256([]byte("gantry media hash key v1\x00" + text))
	return sum[:]
}
