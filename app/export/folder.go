package export

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Folder keeps objects as files. A file is whole or not there at all.
type Folder struct {
	path string
	root *os.Root
}

// OpenFolder opens the folder, and makes it when it is not there.
func OpenFolder(path string) (*Folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the export's folder: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the export's folder: %w", err)
	}
	return &Folder{path, root}, nil
}

// Name is the folder's path.
func (f *Folder) Name() string { return f.path }

// Close closes the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Put writes a file beside the name, brings it to the disk, and gives it the
// name. Two who do so at once write each their own.
func (f *Folder) Put(_ context.Context, name string, file *os.File, size int64, _ Object) (err error) {
	name = filepath.FromSlash(name)
	if err := f.root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	draft := name + "." + rand.Text() + ".tmp"
	if err := f.copy(draft, file, size); err != nil {
		return errors.Join(err, f.root.Remove(draft))
	}
	if err := f.root.Rename(draft, name); err != nil {
		return errors.Join(err, f.root.Remove(draft))
	}
	return f.sync(filepath.Dir(name))
}

func (f *Folder) copy(draft string, from io.Reader, size int64) error {
	to, err := f.root.OpenFile(draft, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, from)
	if err == nil && n != size {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}

// sync brings the names in a folder and in those above it to the disk.
func (f *Folder) sync(folder string) error {
	for {
		opened, err := f.root.Open(folder)
		if err != nil {
			return err
		}
		if err := errors.Join(syncFolder(opened), opened.Close()); err != nil {
			return err
		}
		if folder == "." {
			return nil
		}
		folder = filepath.Dir(folder)
	}
}
