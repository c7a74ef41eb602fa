package blob_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/blob"
	"avalo.app/gantry/internal/fault"
)

// asAzure gives the credentials of Azure. Its driver reads them once.
func asAzure(t *testing.T) {
	t.Helper()
	t.Setenv("AZURE_STORAGE_ACCOUNT", "gantry")
	t.Setenv("AZURE_STORAGE_KEY", "bm90IGEgc2VjcmV0")
}

// asService gives a service account of Google's, whose key is thrown away.
func asService(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "gantry@example.iam.gserviceaccount.com", "token_uri": "http://127.0.0.1:1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(path, account, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
}

func open(t *testing.T, bucket string) *blob.Bucket {
	t.Helper()
	b, err := blob.Open(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// TestPresignGoogle: the signature binds type, length and that nothing lies
// there, by the key that Gantry's own credentials hold, and needs no request.
func TestPresignGoogle(t *testing.T) {
	asService(t)
	signed, headers, err := open(t, "gs://bucket?prefix=gantry/").Presign(t.Context(), "quarantine/presigned/x", "image/jpeg", 17, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Scheme+"://"+u.Host+u.Path != "https://storage.googleapis.com/bucket/gantry/quarantine/presigned/x" || q.Get("X-Goog-Algorithm") != "GOOG4-RSA-SHA256" ||
		q.Get("X-Goog-SignedHeaders") != "content-type;host;x-goog-content-length-range;x-goog-if-generation-match" || len(q.Get("X-Goog-Signature")) != 512 {
		t.Error(signed)
	}
	if life := q.Get("X-Goog-Expires"); life != "59" && life != "60" {
		t.Errorf("accepted for %s s", life)
	}
	if diff := cmp.Diff(map[string]string{"Content-Type": "image/jpeg", "X-Goog-Content-Length-Range": "17,17", "X-Goog-If-Generation-Match": "0"}, headers); diff != "" {
		t.Error(diff)
	}
}

// TestPresignGoogleWithoutKey: no retry gives a bucket a key.
func TestPresignGoogleWithoutKey(t *testing.T) {
	asService(t)
	b := open(t, "gs://bucket?access_id=other@example.iam.gserviceaccount.com")
	if _, _, err := b.Presign(t.Context(), "quarantine/presigned/x", "image/jpeg", 17, time.Minute); fault.CodeOf(err) != fault.Conflict || !strings.Contains(err.Error(), "GOOGLE_APPLICATION_CREDENTIALS") {
		t.Error(err)
	}
}

// TestPresignAzure: the signature allows to create one blob, and not to write
// over it.
func TestPresignAzure(t *testing.T) {
	asAzure(t)
	signed, headers, err := open(t, "azblob://bucket?prefix=gantry/").Presign(t.Context(), "quarantine/presigned/x", "image/jpeg", 17, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Scheme+"://"+u.Host+u.Path != "https://gantry.blob.core.windows.net/bucket/gantry/quarantine/presigned/x" || q.Get("sp") != "c" || q.Get("sr") != "b" || q.Get("sig") == "" {
		t.Error(signed)
	}
	if until, err := time.Parse(time.RFC3339, q.Get("se")); err != nil || time.Until(until) > time.Minute || time.Until(until) < 0 {
		t.Errorf("accepted until %s: %v", q.Get("se"), err)
	}
	if diff := cmp.Diff(map[string]string{"Content-Type": "image/jpeg", "X-Ms-Blob-Type": "BlockBlob"}, headers); diff != "" {
		t.Error(diff)
	}
}

// TestNotMissing: what the drivers call NotFound and is not: an object that
// Gantry may not see, or whose bucket is away, is there all the same. Taken
// for missing it would be dropped unjudged, or be public and called deleted.
func TestNotMissing(t *testing.T) {
	for _, tt := range []struct {
		name, bucket string // %s: the server
		status       int
		header, body string
		missing      bool
	}{
		{"google forbids", "gs://b?universe_domain=emulator", 403, "", `{"error":{"code":403,"message":"storage.objects.delete denied"}}`, false},
		{"google has none", "gs://b?universe_domain=emulator", 404, "", `{"error":{"code":404,"message":"No such object"}}`, true},
		{"azure forbids", "azblob://b?protocol=http&domain=%s", 403, "AuthorizationPermissionMismatch", "", false},
		{"azure has no container", "azblob://b?protocol=http&domain=%s", 404, "ContainerNotFound", "", false},
		{"azure has none", "azblob://b?protocol=http&domain=%s", 404, "BlobNotFound", "", true},
		{"amazon forbids", "s3://b?region=x&use_path_style=true&endpoint=http://%s", 403, "", "<Error><Code>AccessDenied</Code></Error>", false},
		{"amazon has no bucket", "s3://b?region=x&use_path_style=true&endpoint=http://%s", 404, "", noBucket, false},
		{"amazon has none", "s3://b?region=x&use_path_style=true&endpoint=http://%s", 404, "", "<Error><Code>NoSuchKey</Code></Error>", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asAzure(t)
			t.Setenv("AWS_ACCESS_KEY_ID", "a")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tt.header != "" {
					w.Header().Set("X-Ms-Error-Code", tt.header)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer server.Close()
			addr := strings.TrimPrefix(server.URL, "http://")
			t.Setenv("STORAGE_EMULATOR_HOST", addr)
			address := tt.bucket
			if strings.Contains(address, "%s") {
				address = fmt.Sprintf(address, addr)
			}
			b := open(t, address)
			opens(t, b, tt.missing)
			if tt.body != noBucket { // whose driver asks by HEAD, which does not tell; the object went with the bucket
				deletes(t, b, tt.missing)
			}
		})
	}
}

const noBucket = "<Error><Code>NoSuchBucket</Code></Error>"

// TestNoHost: a name that does not resolve now, as Azure's driver sees it. The
// bubble's clock passes the pauses between its attempts.
func TestNoHost(t *testing.T) {
	asAzure(t)
	synctest.Test(t, func(t *testing.T) {
		b := open(t, "azblob://b?protocol=http&domain=no..host") // a name that needs no resolver to be unknown
		opens(t, b, false)
		deletes(t, b, false)
	})
}

// opens opens an object that is missing, or that the bucket does not give.
func opens(t *testing.T, b *blob.Bucket, missing bool) {
	t.Helper()
	want := fault.ServiceDegraded
	if missing {
		want = fault.NotFound
	}
	r, _, err := b.Open(t.Context(), "x")
	if err == nil {
		_ = r.Close()
	}
	if err == nil || fault.CodeOf(err) != want {
		t.Errorf("open: %v, want %s", err, want)
	}
}

// deletes deletes one: what is missing is deleted.
func deletes(t *testing.T, b *blob.Bucket, missing bool) {
	t.Helper()
	if err := b.Delete(t.Context(), "x"); (err == nil) != missing || err != nil && fault.CodeOf(err) != fault.ServiceDegraded {
		t.Errorf("delete: %v", err)
	}
}
