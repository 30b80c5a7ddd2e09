package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
)

// hardenAtOnce is how many bytes are rewritten at once.
const hardenAtOnce = 1 << 20

// harden makes the whole of SQLite's log durable before anybody counts on it.
//
// After a failed fsync Linux keeps the written pages and takes them for clean:
// they can be read until the machine stops, but no later fsync writes them.
// SQLite then reports the failure and writes the same frames anew. A process
// that starts over instead reads the log from those pages, takes the block in
// them for committed and appends behind it; each commit of its own would be
// lost with them. So the bytes are written once more, which makes them dirty.
// The writer's lock keeps everybody from appending meanwhile.
func (l *Ledger) harden(ctx context.Context) error {
	if l.onPostgres() { // the server does so itself: it ends when fsync fails
		return nil
	}
	return l.db.system(ctx, ledgerReason, func(t *tx) error {
		var path string
		if err := t.row(`SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&path); err != nil {
			return err
		}
		return rewrite(path + "-wal")
	})
}

// rewrite writes a file's own bytes over it and syncs it; one that is not there
// needs nothing. Closing it drops no lock of SQLite, which locks other files.
func rewrite(path string) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	part := make([]byte, hardenAtOnce)
	for at := int64(0); ; {
		n, err := file.ReadAt(part, at)
		if err != nil && err != io.EOF {
			return err
		}
		if n == 0 {
			return file.Sync()
		}
		if _, err := file.WriteAt(part[:n], at); err != nil {
			return err
		}
		at += int64(n)
	}
}
