// Command gcsserver is a Google Cloud Storage for tests: fake-gcs-server, with
// the bucket "uploads" in memory. fake-gcs-server verifies no signature, so
// what is in front of it does, by Google's description of V4 signatures, and
// not by the SDK that signs; it also applies the two headers that a signed URL
// can bind and that fake-gcs-server does not know. That real Google applies
// them is Google's word: cloud.google.com/storage/docs/xml-api/reference-headers.
//
//	gcsserver PUBLIC-KEY.pem
package main

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: gcsserver PUBLIC-KEY.pem")
	}
	key, err := readKey(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	addr := l.Addr().String()
	fake, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, PublicHost: addr, ExternalURL: "http://" + addr})
	if err != nil {
		log.Fatal(err)
	}
	fake.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "uploads"})
	log.Print("listens on http://" + addr)
	log.Fatal(http.Serve(l, front{key, fake.HTTPHandler()}))
}

func readKey(path string) (*rsa.PublicKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New(path + " is no PEM")
	}
	return x509.ParsePKCS1PublicKey(block.Bytes)
}

type front struct {
	key  *rsa.PublicKey
	next http.Handler
}

// ServeHTTP passes the JSON API on, and turns a signed PUT of the XML API into
// its equivalent there.
func (f front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut || strings.HasPrefix(r.URL.Path, "/storage/") || strings.HasPrefix(r.URL.Path, "/upload/") {
		f.next.ServeHTTP(w, r)
		return
	}
	if err := f.signed(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	if limits := r.Header.Get("X-Goog-Content-Length-Range"); limits != "" {
		low, high, _ := strings.Cut(limits, ",")
		least, err1 := strconv.ParseInt(low, 10, 64)
		most, err2 := strconv.ParseInt(high, 10, 64)
		if errors.Join(err1, err2) != nil || r.ContentLength < least || r.ContentLength > most {
			http.Error(w, fmt.Sprintf("a length of %d is not within %s", r.ContentLength, limits), http.StatusBadRequest)
			return
		}
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := url.Values{"uploadType": {"media"}, "name": {key}}
	if g := r.Header.Get("X-Goog-If-Generation-Match"); g != "" {
		q.Set("ifGenerationMatch", g)
	}
	r.Method, r.URL = http.MethodPost, &url.URL{Path: "/upload/storage/v1/b/" + bucket + "/o", RawQuery: q.Encode()}
	r.RequestURI = r.URL.RequestURI()
	f.next.ServeHTTP(w, r)
}

// signed verifies a V4 signature:
// cloud.google.com/storage/docs/authentication/canonical-requests.
func (f front) signed(r *http.Request) error {
	q := r.URL.Query()
	at, err := time.Parse("20060102T150405Z", q.Get("X-Goog-Date"))
	if err != nil {
		return err
	}
	life, err := strconv.Atoi(q.Get("X-Goog-Expires"))
	if now := time.Now(); err != nil || now.Before(at.Add(-time.Minute)) || now.After(at.Add(time.Duration(life)*time.Second)) {
		return errors.New("expired, or not yet valid")
	}
	signature, err := hex.DecodeString(q.Get("X-Goog-Signature"))
	if err != nil {
		return err
	}
	names := strings.Split(q.Get("X-Goog-SignedHeaders"), ";")
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-goog-") && !slices.Contains(names, name) {
			return errors.New(name + " is not signed")
		}
	}
	headers := ""
	for _, name := range names {
		value := r.Header.Get(name)
		if name == "host" { // without the port, which the SDK leaves out and Google's has not
			value, _, _ = net.SplitHostPort(r.Host)
		}
		headers += name + ":" + value + "\n"
	}
	q.Del("X-Goog-Signature")
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), strings.ReplaceAll(q.Encode(), "+", "%20"), headers, strings.Join(names, ";"), "UNSIGNED-PAYLOAD"}, "\n")
	_, scope, _ := strings.Cut(q.Get("X-Goog-Credential"), "/")
	digest := sha256.Sum256([]byte(canonical))
	sum := sha256.Sum256([]byte("GOOG4-RSA-SHA256\n" + q.Get("X-Goog-Date") + "\n" + scope + "\n" + hex.EncodeToString(digest[:])))
	return rsa.VerifyPKCS1v15(f.key, crypto.SHA256, sum[:], signature)
}
