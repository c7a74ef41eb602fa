package blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"avalo.app/gantry/internal/fault"
)

const opPresign = "blob.Presign"

// Presign implements media.Bucket. The signatures of S3 and Google bind type,
// length and that nothing lies under the key. Azure's binds only the last:
// what arrives is judged by Verify all the same.
func (b *Bucket) Presign(ctx context.Context, key, mime string, size int64, ttl time.Duration) (string, map[string]string, error) {
	switch b.url.Scheme {
	case "s3":
		return b.presignS3(ctx, key, mime, size, ttl)
	case "gs":
		return b.presignGCS(ctx, key, mime, size, ttl)
	case "azblob":
		return b.presignAzure(ctx, key, mime, ttl)
	}
	return "", nil, fault.New(fault.Conflict, opPresign, "this bucket cannot be written to by others: a local directory takes uploads through POST /v1/media/uploads")
}

// presignS3 asks the SDK: gocloud.dev's signatures leave out the type.
func (b *Bucket) presignS3(ctx context.Context, key, mime string, size int64, ttl time.Duration) (string, map[string]string, error) {
	var client *s3.Client
	if !b.b.As(&client) {
		return "", nil, fault.New(fault.Internal, opPresign, "the driver of s3:// hands out no client of S3")
	}
	bucket, key := b.s3Name(key)
	req, err := s3.NewPresignClient(client, s3.WithPresignExpires(ttl)).PresignPutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, ContentType: &mime, ContentLength: &size, IfNoneMatch: new("*"),
	})
	if err != nil {
		return "", nil, coded(opPresign, key, err)
	}
	headers := map[string]string{}
	for name := range req.SignedHeader {
		if name != "Host" { // every client sends it
			headers[name] = req.SignedHeader.Get(name)
		}
	}
	return req.URL, headers, nil
}

// presignGCS signs by V4: what V2, the SDK's default, cannot bind is the
// length. An emulator, where the SDK is told of one, speaks plain HTTP.
func (b *Bucket) presignGCS(ctx context.Context, key, mime string, size int64, ttl time.Duration) (string, map[string]string, error) {
	length := fmt.Sprintf("%d,%d", size, size)
	signed, err := b.b.SignedURL(ctx, key, &blob.SignedURLOptions{
		Method: http.MethodPut, Expiry: ttl, ContentType: mime,
		BeforeSign: func(as func(any) bool) error {
			var o *storage.SignedURLOptions
			if !as(&o) {
				return errors.New("the driver of gs:// hands out no options of Google's")
			}
			o.Scheme = storage.SigningSchemeV4
			o.Headers = []string{"x-goog-content-length-range:" + length, "x-goog-if-generation-match:0"}
			o.Insecure = os.Getenv("STORAGE_EMULATOR_HOST") != ""
			return nil
		},
	})
	if gcerrors.Code(err) == gcerrors.Unimplemented {
		return "", nil, &fault.Error{Code: fault.Conflict, Op: opPresign, Err: err, Msg: "no key signs for this bucket: give Gantry a service account's key (GOOGLE_APPLICATION_CREDENTIALS, or access_id and private_key_path in media.bucket), or upload through POST /v1/media/uploads"}
	}
	if err != nil {
		return "", nil, coded(opPresign, key, err)
	}
	return signed, map[string]string{"Content-Type": mime, "X-Goog-Content-Length-Range": length, "X-Goog-If-Generation-Match": "0"}, nil
}

// presignAzure allows to create and not to write, which Azure refuses for a
// blob that is there. A shared access signature binds neither length nor type.
func (b *Bucket) presignAzure(ctx context.Context, key, mime string, ttl time.Duration) (string, map[string]string, error) {
	signed, err := b.b.SignedURL(ctx, key, &blob.SignedURLOptions{
		Method: http.MethodPut, Expiry: ttl,
		BeforeSign: func(as func(any) bool) error {
			var p *sas.BlobPermissions
			if !as(&p) {
				return errors.New("the driver of azblob:// hands out no permissions of Azure's")
			}
			*p = sas.BlobPermissions{Create: true}
			return nil
		},
	})
	if errors.Is(err, bloberror.MissingSharedKeyCredential) {
		return "", nil, &fault.Error{Code: fault.Conflict, Op: opPresign, Err: err, Msg: "no key signs for this bucket: give Gantry the account's key (AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY), or upload through POST /v1/media/uploads"}
	}
	if err != nil {
		return "", nil, coded(opPresign, key, err)
	}
	return signed, map[string]string{"Content-Type": mime, "X-Ms-Blob-Type": "BlockBlob"}, nil
}
