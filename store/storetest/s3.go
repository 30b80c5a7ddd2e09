package storetest

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// S3Server is an S3-compatible storage of one test: versitygw on a folder.
type S3Server struct {
	Endpoint             string // http://host:port
	AccessKey, SecretKey string
	binary, dir          string
	process              *process
}

// NewS3 starts an empty storage of the test's own, to be stopped and started
// in the test: it keeps what it has. packaging/test.sh installs the program.
func NewS3(t testing.TB) *S3Server {
	t.Helper()
	binary, err := s3Program()
	if err != nil {
		missing(t, "versitygw", err)
	}
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &S3Server{Endpoint: "http://127.0.0.1:" + port, AccessKey: "test", SecretKey: "test-secret", binary: binary, dir: t.TempDir()}
	for _, folder := range []string{"data", "meta"} {
		if err := os.Mkdir(filepath.Join(s.dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start(); err != nil {
		t.Fatalf("start versitygw: %v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

func s3Program() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return exec.LookPath("versitygw")
	}
	if found, err := program("versitygw-*", filepath.Join(cache, "gatehouse-tools")); err == nil {
		return found, nil
	}
	return exec.LookPath("versitygw")
}

// Start starts a stopped server on its address and waits until it answers.
// Metadata lies beside the data: not every file system has attributes.
func (s *S3Server) Start() (err error) {
	s.process, err = spawn(account{}, s.dir, "", s.binary, "--port", s.Endpoint[len("http://"):],
		"--access", s.AccessKey, "--secret", s.SecretKey, "--quiet",
		"posix", "--sidecar", filepath.Join(s.dir, "meta"), filepath.Join(s.dir, "data"))
	if err != nil {
		return err
	}
	return s.process.await(func() error {
		answer, err := http.Get(s.Endpoint)
		if err == nil {
			answer.Body.Close()
		}
		return err
	})
}

// Stop stops the server; stopping it twice does nothing more.
func (s *S3Server) Stop() { s.process.stop() }

// MakeBucket makes an empty bucket.
func (s *S3Server) MakeBucket(t testing.TB, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.dir, "data", name), 0o700); err != nil {
		t.Fatal(err)
	}
}
