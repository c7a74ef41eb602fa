package access

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// A credential is gk_<id>_<secret>: the id finds the key and may be shown,
// the secret proves it. 43 characters of 62 hold 256 bits.
const (
	keyPrefix    = "gk_"
	idLen        = 10
	secretLen    = 43
	keyLen       = len(keyPrefix) + idLen + 1 + secretLen
	secretLetter = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// IsKey reports whether credential has the form of an API key. It says
// nothing of whether the key exists.
func IsKey(credential string) bool { return strings.HasPrefix(credential, keyPrefix) }

// split takes a credential apart; ok is false unless every part has its
// length and letters.
func split(credential string) (id, secret string, ok bool) {
	if len(credential) != keyLen || !IsKey(credential) {
		return "", "", false
	}
	id, secret = credential[len(keyPrefix):len(keyPrefix)+idLen], credential[keyLen-secretLen:]
	if credential[len(keyPrefix)+idLen] != '_' || !alphanumeric(id) || !alphanumeric(secret) {
		return "", "", false
	}
	return id, secret, true
}

func alphanumeric(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z') {
			return false
		}
	}
	return true
}

// hashSecret is what is stored; see StoredKey.Hash. The copy keeps the bytes
// off the heap.
func hashSecret(secret string) [sha256.Size]byte {
	var b [secretLen]byte
	copy(b[:], secret)
	return sha256.Sum256(b[:])
}

// letters returns n random letters, each as likely as any other.
func letters(n int) string {
	const even = 256 / len(secretLetter) * len(secretLetter) // bytes from here on would favour some letters
	out := make([]byte, 0, n)
	for buf := make([]byte, 2*n); len(out) < n; {
		_, _ = rand.Read(buf) // it never fails; see crypto/rand
		for _, b := range buf {
			if int(b) < even && len(out) < n {
				out = append(out, secretLetter[int(b)%len(secretLetter)])
			}
		}
	}
	return string(out)
}
