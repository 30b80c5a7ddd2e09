package storetest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk stands between the files of a folder and the processes that a test
// starts on it. It makes each write of theirs itself and hears of each sync
// before the kernel does (see trap_linux.go), can refuse them as a broken or
// full disk does, and knows at any time what a power failure would leave.
//
// A sync that it refuses loses what it should have made durable, as Linux does
// (https://wiki.postgresql.org/wiki/Fsync_Errors): the written pages can be
// read until the machine stops, but no later sync writes them.
type Disk struct {
	dir    string
	mu     sync.Mutex
	files  map[string]*diskFile // by path
	broken func(path string) bool
	full   bool
	counts DiskCounts
	failed error // the disk could not do its work
	users  sync.WaitGroup
	over   atomic.Bool
}

// DiskCounts is what a Disk heard of since it was made.
type DiskCounts struct {
	Writes, Syncs             int // let through
	FailedWrites, FailedSyncs int // refused with ENOSPC, with EIO
}

const diskPage = 4096 // what the kernel keeps and loses as a whole

// diskFile is a file as a power failure would leave it, and what it would lose.
type diskFile struct {
	*os.File
	durable []byte
	dirty   map[int64]bool // pages that the next sync makes durable
}

// NewDisk is the disk of a folder, whose files are durable as they are now. A
// kernel that does not let anybody listen to system calls skips the test.
func NewDisk(t testing.TB, dir string) *Disk {
	t.Helper()
	switch err := canTrap(); {
	case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EFAULT):
		t.Fatal(err) // the filter is wrong
	case err != nil:
		fmt.Fprintf(os.Stderr, "SKIPPED: %s: this kernel lets nobody listen to system calls, so this test shows nothing: %v\n", t.Name(), err)
		t.Skipf("SKIPPED: this kernel lets nobody listen to system calls, so this test shows nothing: %v", err)
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := &Disk{dir: dir, files: map[string]*diskFile{}}
	t.Cleanup(func() {
		for _, f := range d.files {
			f.Close()
		}
	})
	return d
}

// Start starts the command on the disk. Threads and processes that it starts
// are on it too.
func (d *Disk) Start(cmd *exec.Cmd) error {
	listener, err := startTrapped(cmd)
	if err != nil {
		return err
	}
	d.users.Go(func() {
		defer unix.Close(listener)
		answerTraps(listener, d.answer, &d.over)
	})
	return nil
}

// Wait, once every process on the disk has ended, waits until all that they
// wrote is written. Others can be started then.
func (d *Disk) Wait() {
	d.over.Store(true)
	d.users.Wait()
	d.over.Store(false)
}

// Break lets every sync of files whose paths match fail from now on; nil: of
// none.
func (d *Disk) Break(match func(path string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = match
}

// Fill leaves no room from now on, or room again: files do not grow.
func (d *Disk) Fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// Counts is what the disk heard of so far.
func (d *Disk) Counts() DiskCounts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// PowerFailure writes into another folder what a power failure would leave of
// the files at this moment. A removed file stays removed.
func (d *Disk) PowerFailure(t testing.TB, to string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	entries, err := os.ReadDir(d.dir)
	if err != nil || d.failed != nil {
		t.Fatal(err, d.failed)
	}
	for _, entry := range entries {
		path := filepath.Join(d.dir, entry.Name())
		if !entry.Type().IsRegular() || strings.HasSuffix(path, "-shm") { // shared memory of processes, which end
			continue
		}
		left, err := os.ReadFile(path)
		if f := d.files[path]; err == nil && f != nil {
			left = f.durable
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, entry.Name()), left, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// answer says what becomes of a write or a sync.
func (d *Disk) answer(c trapped) reply {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.thread, c.fd))
	if err != nil || filepath.Dir(path) != d.dir || strings.HasSuffix(path, "-shm") {
		return reply{through: true}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f, size, err := d.file(path)
	if err != nil {
		return reply{through: true} // it is gone: nothing survives of it
	}
	if c.write {
		return d.write(f, size, c)
	}
	return d.sync(f, path, size)
}

// write writes on behalf of the process, so that all its writes stand in a row
// with all its syncs, whichever threads they come from.
func (d *Disk) write(f *diskFile, size int64, c trapped) reply {
	if d.full && c.offset+c.length > size {
		d.counts.FailedWrites++
		return reply{failure: unix.ENOSPC}
	}
	content, err := c.content()
	if err == nil {
		_, err = f.WriteAt(content, c.offset)
	}
	if err != nil {
		return d.fail(err)
	}
	for page := c.offset / diskPage; page <= (c.offset+c.length-1)/diskPage; page++ {
		f.dirty[page] = true
	}
	d.counts.Writes++
	return reply{value: c.length}
}

func (d *Disk) sync(f *diskFile, path string, size int64) reply {
	if d.broken != nil && d.broken(path) {
		clear(f.dirty)
		d.counts.FailedSyncs++
		return reply{failure: unix.EIO}
	}
	if err := f.harden(size); err != nil {
		return d.fail(err)
	}
	d.counts.Syncs++
	return reply{through: true}
}

func (d *Disk) fail(err error) reply {
	if !errors.Is(err, unix.ESRCH) { // its process was killed meanwhile
		d.failed = errors.Join(d.failed, err)
	}
	return reply{failure: unix.EIO}
}

// file is what is known of the file, which is durable as it was when it was
// first written.
func (d *Disk) file(path string) (f *diskFile, size int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	f = d.files[path]
	if f != nil {
		if same, err := f.Stat(); err == nil && os.SameFile(same, info) {
			return f, info.Size(), nil
		}
		f.Close() // it was removed, and this is another one
	}
	f = &diskFile{dirty: map[int64]bool{}}
	if f.File, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, 0, err
	}
	f.durable, err = os.ReadFile(path)
	d.files[path] = f
	return f, info.Size(), err
}

// harden makes the dirty pages durable as they are now.
func (f *diskFile) harden(size int64) error {
	f.durable = append(f.durable, make([]byte, max(0, size-int64(len(f.durable))))...)[:size]
	for page := range f.dirty {
		at := page * diskPage
		if at >= size {
			continue
		}
		if _, err := f.ReadAt(f.durable[at:min(size, at+diskPage)], at); err != nil && err != io.EOF {
			return err
		}
	}
	clear(f.dirty)
	return nil
}
