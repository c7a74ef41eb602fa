package interop_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// startGCS starts fake-gcs-server, which is told the public key of a service
// account that the test makes.
func startGCS(t *testing.T) bucket {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	private, public := filepath.Join(dir, "private.pem"), filepath.Join(dir, "public.pem")
	for path, block := range map[string]*pem.Block{
		private: {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
		public:  {Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&key.PublicKey)},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addr := address(t, start(t, nil, gcsserver, public))
	q := url.Values{"access_id": {"gantry@example.iam.gserviceaccount.com"}, "private_key_path": {private}}
	return bucket{url: "gs://uploads?" + q.Encode(), env: map[string]string{"STORAGE_EMULATOR_HOST": addr}, addr: addr}
}
