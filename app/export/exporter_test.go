package export_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"gatehouse/app"
	"gatehouse/app/export"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// objects reads what a destination holds, by name.
type objects func(t *testing.T) map[string][]byte

// place opens a destination of a test, again and again, and reads it.
type place struct {
	open func(t *testing.T) export.Place
	read objects
}

func eachPlace(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("folder", func(t *testing.T) { test(t, folderPlace(filepath.Join(t.TempDir(), "out"))) })
	t.Run("S3", func(t *testing.T) {
		server := storetest.NewS3(t)
		server.MakeBucket(t, "usage")
		test(t, bucketPlace(server))
	})
}

func folderPlace(path string) place {
	open := func(t *testing.T) export.Place {
		f, err := export.OpenPlace(path, export.S3{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	return place{open, func(t *testing.T) map[string][]byte {
		found := map[string][]byte{}
		err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			relative, _ := filepath.Rel(path, name)
			found[filepath.ToSlash(relative)], err = os.ReadFile(name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}}
}

func s3Of(server *storetest.S3Server) export.S3 {
	return export.S3{Endpoint: server.Endpoint, Region: "us-east-1", AccessKey: server.AccessKey, SecretKey: server.SecretKey, AllowPrivate: true}
}

func bucketPlace(server *storetest.S3Server) place {
	open := func(t *testing.T) export.Place {
		b, err := export.OpenPlace("s3://usage/gate/house/", s3Of(server))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return place{open, func(t *testing.T) map[string][]byte { return readBucket(t, server) }}
}

// readBucket reads with a client of the test's own.
func readBucket(t *testing.T, server *storetest.S3Server) map[string][]byte {
	client, err := minio.New(strings.TrimPrefix(server.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for entry := range client.ListObjects(t.Context(), "usage", minio.ListObjectsOptions{Recursive: true}) {
		object, err := client.GetObject(t.Context(), "usage", entry.Key, minio.GetObjectOptions{})
		if err == nil {
			found[strings.TrimPrefix(entry.Key, "gate/house/")], err = io.ReadAll(object)
		}
		if err != nil || entry.Err != nil {
			t.Fatal(err, entry.Err)
		}
	}
	return found
}

func newExporter(t *testing.T, s *store.Ledger, cursors export.Cursors, to export.Destination, zip bool, bytes int64) *export.Exporter {
	t.Helper()
	scratch := t.TempDir()
	e, err := export.New(export.Options{Source: metering.Exporter{Store: s}, Cursors: cursors, To: to, Gzip: zip, Scratch: scratch, Bytes: bytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, _ := os.ReadDir(scratch); len(left) > 0 {
			t.Errorf("%d scratch files are left", len(left))
		}
	})
	return e
}

func unzip(t *testing.T, body []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// stumbling breaks where a process may die: a plan is noted and nothing
// written, or an object is written and the cursor not moved.
type stumbling struct {
	*store.Ledger
	plan, move bool
}

var errKilled = errors.New("killed")

func (s *stumbling) PlanExport(ctx context.Context, name string, r app.ExportRange) (app.ExportCursor, error) {
	c, err := s.Ledger.PlanExport(ctx, name, r)
	if s.plan {
		s.plan = false
		return c, errKilled
	}
	return c, err
}

func (s *stumbling) MoveExport(ctx context.Context, name string, r app.ExportRange) error {
	if s.move {
		s.move = false
		return errKilled
	}
	return s.Ledger.MoveExport(ctx, name, r)
}

// TestNothingIsSkippedOrDoubled dies at each step, counts on meanwhile, and
// runs two exporters at once: the objects hold each record once.
func TestNothingIsSkippedOrDoubled(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		eachPlace(t, func(t *testing.T, p place) {
			s := openLedger(t, o)
			cursors := &stumbling{Ledger: s}
			for _, stumble := range []func(){func() {}, func() { cursors.plan = true }, func() { cursors.move = true }} {
				l := openMeter(t, s)
				traffic(t, l, 20, "org_1", "org_2")
				closeMeter(t, l)
				stumble()
				_, err := newExporter(t, s, cursors, p.open(t), true, 0).Once(t.Context())
				if err != nil && !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
			}
			l := openMeter(t, s)
			traffic(t, l, 20, "org_3")
			closeMeter(t, l)
			done := make(chan error, 2)
			for range 2 {
				e := newExporter(t, s, s, p.open(t), true, 0)
				go func() { _, err := e.Once(t.Context()); done <- err }()
			}
			if err := errors.Join(<-done, <-done); err != nil {
				t.Fatal(err)
			}
			var sums sums
			for name, body := range p.read(t) {
				if !strings.HasSuffix(name, ".jsonl.gz") || strings.Count(name, "/") != 3 {
					t.Errorf("an object is called %s", name)
				}
				sums.add(t, unzip(t, body))
			}
			sums.equal(t, s)
			before := p.read(t)
			if n, err := newExporter(t, s, s, p.open(t), true, 0).Once(t.Context()); n != 0 || err != nil || len(p.read(t)) != len(before) {
				t.Errorf("%d objects when nothing was new, %v", n, err)
			}
		})
	})
}

// TestAnObjectWrittenAgainIsTheSame as the one that it replaces.
func TestAnObjectWrittenAgainIsTheSame(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		s := openLedger(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
		cursors := &stumbling{Ledger: s, move: true}
		l := openMeter(t, s)
		traffic(t, l, 50, "org_1")
		closeMeter(t, l)
		if _, err := newExporter(t, s, cursors, p.open(t), true, 0).Once(t.Context()); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		first := p.read(t)
		l = openMeter(t, s) // more has come meanwhile: it goes into the next object
		traffic(t, l, 50, "org_1")
		closeMeter(t, l)
		if n, err := newExporter(t, s, s, p.open(t), true, 0).Once(t.Context()); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		second := p.read(t)
		if len(first) != 1 {
			t.Fatalf("%d objects before the crash", len(first))
		}
		for name, body := range first {
			if !bytes.Equal(second[name], body) {
				t.Errorf("%s is another one after the crash", name)
			}
		}
		var sums sums
		for _, body := range second {
			sums.add(t, unzip(t, body))
		}
		sums.equal(t, s)
	})
}

func TestTheStorageGoesAndComesBack(t *testing.T) {
	server := storetest.NewS3(t)
	server.MakeBucket(t, "usage")
	p := bucketPlace(server)
	s := openLedger(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	l := openMeter(t, s)
	traffic(t, l, 20, "org_1")
	closeMeter(t, l)
	e := newExporter(t, s, s, p.open(t), false, 1)
	server.Stop()
	if _, err := e.Once(t.Context()); !app.IsKind(err, app.KindUnavailable) || e.Last().Error == "" {
		t.Errorf("without a storage: %v, status %+v", err, e.Last())
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if n, err := e.Once(t.Context()); n == 0 || err != nil || e.Last().Error != "" || e.Last().Records == 0 {
		t.Errorf("with it: %d objects, %v, status %+v", n, err, e.Last())
	}
	var sums sums
	for _, body := range p.read(t) {
		sums.add(t, body)
	}
	sums.equal(t, s)
}

func TestTheStorageRefuses(t *testing.T) {
	server := storetest.NewS3(t)
	server.MakeBucket(t, "usage")
	s := openLedger(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	l := openMeter(t, s)
	traffic(t, l, 1, "org_1")
	closeMeter(t, l)
	right := s3Of(server)
	wrong, public := right, right
	wrong.SecretKey = "guessed"
	public.AllowPrivate = false
	for _, c := range []struct {
		what, to string
		s3       export.S3
		says     string
	}{
		{"another secret", "s3://usage", wrong, "SignatureDoesNotMatch"},
		{"no such bucket", "s3://elsewhere", right, "NoSuchBucket"},
		{"a private address", "s3://usage", public, "private"},
	} {
		to, err := export.OpenPlace(c.to, c.s3)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = newExporter(t, s, s, to, false, 1).Once(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if found := readBucket(t, server); len(found) != 0 {
		t.Errorf("%d objects all the same", len(found))
	}
}

// TestALargeObjectGoesInParts of which it is whole again.
func TestALargeObjectGoesInParts(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		body := make([]byte, 40<<20+7)
		rand.NewChaCha8([32]byte{1}).Read(body)
		for range 2 {
			file, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			_, err = file.Write(body)
			if err == nil {
				_, err = file.Seek(0, io.SeekStart)
			}
			if err == nil {
				err = p.open(t).Put(t.Context(), "2026/11/24/large", file, int64(len(body)), export.Object{ContentType: "text/csv"})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if found := p.read(t); len(found) != 1 || !bytes.Equal(found["2026/11/24/large"], body) {
			t.Errorf("%d objects, the large one is another", len(found))
		}
	})
}

func TestPlacesThatAreNone(t *testing.T) {
	good := export.S3{Endpoint: "https://s3.example.com"}
	for _, c := range []struct {
		to string
		s3 export.S3
	}{
		{"s3://", good}, {"s3://b?x=1", good}, {"s3://key:secret@b", good}, {"s3://b", export.S3{}},
		{"s3://b", export.S3{Endpoint: "ftp://x"}}, {"s3://b", export.S3{Endpoint: "https://x/path"}},
	} {
		if _, err := export.OpenPlace(c.to, c.s3); !app.IsKind(err, app.KindInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
