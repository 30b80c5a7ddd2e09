package export

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"gatehouse/app"
)

// S3 reaches an S3-compatible storage.
type S3 struct {
	Endpoint     string // https://host[:port]
	Region       string
	AccessKey    string
	SecretKey    string
	AllowPrivate bool // the storage may lie in a private network, or on this machine
}

const (
	partSize     = 16 << 20 // bytes of one part of a large object: what is kept in memory
	s3Retries    = 3        // within one try; the exporter tries again by itself
	answerWithin = time.Minute
)

// Bucket keeps objects in an S3-compatible storage. One that is there is
// replaced as a whole.
type Bucket struct {
	client       *minio.Client
	name, prefix string
}

// OpenBucket returns the place that "s3://bucket/prefix" names. It does not
// look whether the bucket is there: Put does.
func OpenBucket(place string, s3 S3) (*Bucket, error) {
	u, err := url.Parse(place)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, app.Invalid("export.to", "%q must look like s3://bucket/prefix", place)
	}
	endpoint, err := url.Parse(s3.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http" {
		return nil, app.Invalid("export.s3.endpoint", "must be the storage's address, such as https://s3.eu-central-1.amazonaws.com")
	}
	if strings.Trim(endpoint.Path, "/") != "" {
		return nil, app.Invalid("export.s3.endpoint", "must have no path: the bucket stands in export.to")
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(s3.AccessKey, s3.SecretKey, ""),
		Secure:     endpoint.Scheme == "https",
		Region:     s3.Region,
		Transport:  guardedTransport(s3.AllowPrivate),
		MaxRetries: s3Retries,
	})
	if err != nil {
		return nil, app.Invalid("export.s3", "%v", err)
	}
	return &Bucket{client, u.Host, strings.Trim(u.Path, "/")}, nil
}

// guardedTransport never asks a proxy, which would connect past the guard.
func guardedTransport(allowPrivate bool) *http.Transport {
	return &http.Transport{DialContext: guardedDial(allowPrivate), ForceAttemptHTTP2: true, MaxIdleConns: 4,
		IdleConnTimeout: time.Minute, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: answerWithin,
		ExpectContinueTimeout: time.Second}
}

// Name is the bucket and the prefix, as s3://bucket/prefix.
func (b *Bucket) Name() string { return "s3://" + path.Join(b.name, b.prefix) }

// Close does nothing: connections end by themselves.
func (b *Bucket) Close() error { return nil }

// Put stores the object, in parts when it is large: it appears when it is whole.
func (b *Bucket) Put(ctx context.Context, name string, file *os.File, size int64, o Object) error {
	_, err := b.client.PutObject(ctx, b.name, path.Join(b.prefix, name), file, size,
		minio.PutObjectOptions{ContentType: o.ContentType, ContentEncoding: o.ContentEncoding, PartSize: partSize})
	if err != nil {
		return b.explain(err)
	}
	return nil
}

// explain says what the storage answered. Its own words may be shown: they
// hold no secret.
func (b *Bucket) explain(err error) error {
	answer := minio.ToErrorResponse(err)
	failure := &app.Error{Kind: app.KindUnavailable, Code: "export_unavailable", Err: err,
		Message: "The storage at " + b.client.EndpointURL().Host + " cannot be reached.",
		Advice:  "Check export.s3.endpoint; one in a private network needs export.s3.allow_private."}
	if answer.Code != "" {
		failure.Message = fmt.Sprintf("The storage refused the object: %s (%s).", answer.Code, strings.TrimSuffix(answer.Message, "."))
		failure.Advice = "Check the bucket's name in export.to, and that the access key may write to it."
	}
	return failure
}
