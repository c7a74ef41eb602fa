package audit_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"avalo.app/gantry/internal/audit"
)

// testKey is fixed, so that its signature can be written out.
const (
	testSecret = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
	testVKey   = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
)

func testKey(t *testing.T) *audit.Key {
	t.Helper()
	k, err := audit.ParseKey(testSecret + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t *testing.T, size int64, root byte) []byte {
	t.Helper()
	signed, err := audit.Checkpoint{Origin: "PeterNeumann", Size: size, Root: tlog.Hash{root}}.Sign(testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestCheckpoint(t *testing.T) {
	k := testKey(t)
	if k.VerifierKey() != testVKey {
		t.Errorf("public half %q, want %q", k.VerifierKey(), testVKey)
	}
	v, err := audit.ParseVerifierKey(testVKey)
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(t, 7, 9)
	text := "PeterNeumann\n7\nCQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	if !strings.HasPrefix(string(signed), text+"\n— PeterNeumann ") {
		t.Errorf("signed text is\n%s", signed)
	}
	c, err := audit.OpenCheckpoint(signed, v)
	if want := (audit.Checkpoint{Origin: "PeterNeumann", Size: 7, Root: tlog.Hash{9}}); err != nil || c != want {
		t.Errorf("%+v, %v; want %+v", c, err, want)
	}
	_, other, err := audit.GenerateKey("PeterNeumann")
	if err != nil {
		t.Fatal(err)
	}
	ov, err := audit.ParseVerifierKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signed string
		wrong  bool
	}{
		"another key":  {string(signed), true},
		"another size": {strings.Replace(string(signed), "\n7\n", "\n8\n", 1), false},
		"unsigned":     {text, false},
		"too long":     {text + strings.Repeat("x", audit.MaxCheckpoint), false},
	} {
		by := v
		if c.wrong {
			by = ov
		}
		if _, err := audit.OpenCheckpoint([]byte(c.signed), by); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := (audit.Checkpoint{Origin: "Else"}).Sign(k); err == nil {
		t.Error("the key signs for another origin")
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, s := range []string{"", testVKey, "PRIVATE+KEY+a+00000000+AAAA", strings.Replace(testSecret, "c74f20a3", "c74f20a4", 1)} {
		if _, err := audit.ParseKey(s); err == nil || s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("ParseKey(%q): %v", s, err)
		}
		if _, err := audit.ParseVerifierKey(testSecret); err == nil {
			t.Error("a secret passes for a verifier key")
		}
	}
	if _, _, err := audit.GenerateKey("a b"); err == nil {
		t.Error("a name with a space is accepted")
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add("o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
	f.Add("o\n18\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nextension\n")
	f.Add("o\n-1\n\n")
	f.Add("o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := audit.ParseCheckpoint(text)
		if err == nil && !strings.HasPrefix(text, c.Text()) {
			t.Errorf("%q reads as %q", text, c.Text())
		}
	})
}

func TestPublish(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "checkpoints")
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, size := range []int64{3, 3, 8} {
		signed := sign(t, size, byte(size))
		if err := audit.Publish(dir, signed); err != nil {
			t.Fatal(err)
		}
		if read("latest") != string(signed) {
			t.Errorf("latest is not the checkpoint of %d", size)
		}
	}
	if read("3.checkpoint") != string(sign(t, 3, 3)) || read("8.checkpoint") != string(sign(t, 8, 8)) {
		t.Error("an earlier checkpoint is not kept")
	}
	for what, c := range map[string]struct{ size, root byte }{"rolled back": {7, 7}, "rewritten": {8, 1}} {
		err := audit.Publish(dir, sign(t, int64(c.size), c.root))
		var contra *audit.ContradictionError
		if !errors.As(err, &contra) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if read("latest") != string(sign(t, 8, 8)) {
		t.Error("a contradiction covered over what was published")
	}
	// A crash between the two files: the next call repairs latest.
	if err := os.Remove(filepath.Join(dir, "latest")); err != nil {
		t.Fatal(err)
	}
	if err := audit.Publish(dir, sign(t, 8, 8)); err != nil || read("latest") != string(sign(t, 8, 8)) {
		t.Errorf("latest is not repaired: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("the directory holds %v, %v; want 3.checkpoint, 8.checkpoint, latest", entries, err)
	}
	if err := audit.Publish(dir, []byte("nonsense")); err == nil {
		t.Error("nonsense is published")
	}
	file := filepath.Join(dir, "latest")
	if err := audit.Publish(filepath.Join(file, "sub"), sign(t, 9, 9)); err == nil {
		t.Error("a folder that cannot be made is no error")
	}
}
