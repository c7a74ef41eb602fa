// Package blob keeps media in a bucket: a local directory, S3, Google Cloud
// Storage or Azure, by the bucket's URL.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"cloud.google.com/go/storage"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/fileblob"  // file://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://
	"gocloud.dev/gcerrors"
	"google.golang.org/api/googleapi"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
)

// Bucket implements media.Bucket.
type Bucket struct {
	b   *blob.Bucket
	url *url.URL
	dir string // of a local bucket
}

// Dir is the URL of a local directory, which is made if it is missing.
func Dir(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String(), nil
}

// Open opens the bucket of a URL: file:///PATH, s3://NAME?region=…, gs://NAME
// or azblob://NAME, with the parameters of gocloud.dev. It makes no request.
func Open(ctx context.Context, bucket string) (*Bucket, error) {
	u, err := url.Parse(bucket)
	if err != nil || u.Scheme == "" {
		return nil, errors.New("a bucket is a URL such as file:///var/lib/gantry/media, s3://NAME?region=eu-central-1, gs://NAME or azblob://NAME")
	}
	out := &Bucket{url: u}
	if u.Scheme == "file" {
		out.dir = filepath.FromSlash(u.Path)
		if err := os.MkdirAll(out.dir, 0o700); err != nil {
			return nil, err
		}
		q := u.Query()
		q.Set("metadata", "skip") // keys carry all that is needed
		u.RawQuery = q.Encode()
	}
	if out.b, err = blob.OpenBucket(ctx, u.String()); err != nil {
		return nil, fmt.Errorf("open the bucket: %w", err)
	}
	return out, nil
}

// Close releases the bucket.
func (b *Bucket) Close() error { return b.b.Close() }

// Open implements media.Bucket.
func (b *Bucket) Open(ctx context.Context, key string) (io.ReadCloser, media.Blob, error) {
	r, err := b.b.NewReader(ctx, key, nil)
	if err != nil {
		return nil, media.Blob{}, coded("blob.Open", key, err)
	}
	return r, media.Blob{Key: key, Size: r.Size(), Version: version(r), At: r.ModTime()}, nil
}

// version names the bytes that a reader reads: their ETag, or their generation
// at Google. A local directory tells nothing.
func version(r *blob.Reader) string {
	var (
		amazon s3.GetObjectOutput
		google *storage.Reader
		azure  azblob.DownloadStreamResponse
	)
	switch {
	case r.As(&amazon) && amazon.ETag != nil:
		return *amazon.ETag
	case r.As(&google):
		return strconv.FormatInt(google.Attrs.Generation, 10)
	case r.As(&azure) && azure.ETag != nil:
		return string(*azure.ETag)
	}
	return ""
}

// Delete implements media.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	err := b.b.Delete(ctx, key)
	if err != nil && missing(err) {
		return nil
	}
	return coded("blob.Delete", key, err)
}

// List implements media.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string, fn func(media.Blob) error) error {
	it := b.b.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return coded("blob.List", prefix, err)
		}
		if err := fn(media.Blob{Key: o.Key, Size: o.Size, At: o.ModTime}); err != nil {
			return err
		}
	}
}

// coded gives an error of the bucket its code. Keys name people, and errors
// are logged: the key is cut out of the text.
func coded(op, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case missing(err):
		return &fault.Error{Code: fault.NotFound, Op: op, Msg: "there is no such object", Err: keyless{err, key}}
	}
	return &fault.Error{Code: fault.ServiceDegraded, Op: op, Msg: "the bucket does not answer now: try again in a moment", Err: keyless{err, key}}
}

// missing reports whether the bucket said that it holds no such object. The
// drivers say NotFound also of Google's 403, of a bucket that is gone and of a
// host whose name does not resolve: a Delete that believed them would leave
// the object there and call it deleted.
func missing(err error) bool {
	if gcerrors.Code(err) != gcerrors.NotFound {
		return false
	}
	var (
		dns    *net.DNSError
		google *googleapi.Error
		amazon interface{ ErrorCode() string }
	)
	switch {
	case errors.As(err, &dns), errors.Is(err, storage.ErrBucketNotExist), bloberror.HasCode(err, bloberror.ContainerNotFound):
		return false
	case errors.As(err, &google):
		return google.Code == http.StatusNotFound
	case errors.As(err, &amazon):
		return amazon.ErrorCode() != "NoSuchBucket"
	}
	return true
}

// s3Name is the bucket of the URL, and a key with the URL's prefix.
func (b *Bucket) s3Name(key string) (string, string) {
	return b.url.Host, b.url.Query().Get("prefix") + key
}

// keyless is an error without the key of its object.
type keyless struct {
	error
	key string
}

func (k keyless) Error() string {
	if k.key == "" {
		return k.error.Error()
	}
	// A driver may name the object's folder, or a file beside it.
	text := strings.ReplaceAll(k.error.Error(), k.key, "KEY")
	if folder := path.Dir(k.key); folder != "." {
		text = strings.ReplaceAll(text, folder, "KEY")
	}
	return text
}

func (k keyless) Unwrap() error { return k.error }
