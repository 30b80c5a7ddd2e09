package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/export"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// exportDocument is the shape of `usage export --json`.
type exportDocument struct {
	To     string `json:"to"`
	Format string `json:"format"`
	After  int64  `json:"after"`
	export.Copied
}

// exportFlags are what the command line says.
type exportFlags struct {
	to, format string
	after      int64
	gzip       bool
}

func (c *cli) usageExport() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export --to FILE|FOLDER|s3://BUCKET/PREFIX|-",
		Short: "Write the ledger's records as CSV or JSON Lines",
		Example: "  gatehouse usage export --to usage.csv\n" +
			"  gatehouse usage export --to - --after 4711 | jq .meter      (what is new since step 4711)\n" +
			"  gatehouse usage export --to s3://my-bucket/usage --gzip --json",
		Args: takes(),
		RunE: c.with(func(call call, _ []string) error {
			if err := f.complete(c.json); err != nil {
				return err
			}
			ledger, err := openLedgerOf(call)
			if err != nil {
				return err
			}
			defer ledger.Close()
			done, err := c.exportTo(call, c.watch(metering.Exporter{Store: ledger}), f)
			if err != nil {
				return err
			}
			return c.showExport(exportDocument{f.to, f.format, f.after, done})
		}),
	}
	cmd.Flags().StringVar(&f.to, "to", "", "a file, an existing folder, s3://bucket/prefix, or - for standard output (required)")
	cmd.Flags().StringVar(&f.format, "format", "", "jsonl or csv (default: as the file's name ends, else jsonl)")
	cmd.Flags().Int64Var(&f.after, "after", 0, "only what came after this step: the `next` of the last export")
	cmd.Flags().BoolVar(&f.gzip, "gzip", false, "compress (default: when the file's name ends in .gz)")
	cmd.MarkFlagRequired("to")
	return cmd
}

// complete fills in what the destination's name says.
func (f *exportFlags) complete(json bool) error {
	if json && f.to == "-" {
		return misuse("Leave out --json, or name a file.", "--json and --to - both want standard output")
	}
	name := strings.TrimSuffix(f.to, ".gz")
	f.gzip = f.gzip || name != f.to
	if f.format == "" {
		f.format = export.FormatJSONL
		if strings.HasSuffix(name, ".csv") {
			f.format = export.FormatCSV
		}
	}
	if f.after < 0 {
		return app.Invalid("--after", "must not be negative")
	}
	return export.CheckFormat(f.format)
}

// openLedgerOf opens the ledger of the installation, beside a server or not.
func openLedgerOf(call call) (*store.Ledger, error) {
	return store.OpenLedger(call.ctx, store.Options{DSN: call.config.Database.URL, Path: call.config.Path(storeName)})
}

func (c *cli) exportTo(call call, source export.Source, f exportFlags) (export.Copied, error) {
	if f.to == "-" {
		return c.exportDocument(call, source, f, c.out)
	}
	info, err := os.Stat(f.to)
	if strings.HasPrefix(f.to, "s3://") || err == nil && info.IsDir() {
		return c.exportObjects(call, source, f)
	}
	return c.exportFile(call, source, f)
}

// exportDocument writes one document.
func (c *cli) exportDocument(call call, source export.Source, f exportFlags, w io.Writer) (export.Copied, error) {
	if f.gzip {
		z := gzip.NewWriter(w)
		done, err := (&export.Service{Source: source}).Copy(call.ctx, c.actor(), z, f.after, f.format)
		if err != nil {
			return done, err
		}
		return done, z.Close()
	}
	return (&export.Service{Source: source}).Copy(call.ctx, c.actor(), w, f.after, f.format)
}

// exportFile writes a file that is whole or not there at all.
func (c *cli) exportFile(call call, source export.Source, f exportFlags) (done export.Copied, err error) {
	draft, err := os.CreateTemp(filepath.Dir(f.to), ".gatehouse-export-*") // for the owner alone
	if err != nil {
		return done, misuse("", "the file cannot be written: %v", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(draft.Name()))
		}
	}()
	done, err = c.exportDocument(call, source, f, draft)
	if err == nil {
		err = draft.Sync()
	}
	if err = errors.Join(err, draft.Close()); err != nil {
		return done, err
	}
	return done, os.Rename(draft.Name(), f.to)
}

// exportObjects writes objects as the server does by itself.
func (c *cli) exportObjects(call call, source export.Source, f exportFlags) (export.Copied, error) {
	to, err := export.OpenPlace(f.to, s3Of(call.config))
	if err != nil {
		return export.Copied{}, err
	}
	defer to.Close()
	e, err := export.New(export.Options{Source: source, Cursors: export.From(f.after), To: to, Format: f.format, Gzip: f.gzip})
	if err != nil {
		return export.Copied{}, err
	}
	_, err = e.Once(call.ctx)
	last := e.Last()
	return export.Copied{Next: max(f.after, last.Cursor), Records: last.Records, Objects: last.Objects}, err
}

// watch tells a person every second how far an export has come.
func (c *cli) watch(source export.Source) export.Source {
	if !c.interactive || c.json {
		return source
	}
	said := time.Now()
	return export.Watch(source, func(done export.Copied) {
		if done.Records%1024 == 0 && time.Since(said) > time.Second {
			said = time.Now()
			c.note("%d records, step %d", done.Records, done.Next)
		}
	})
}

func (c *cli) showExport(d exportDocument) error {
	if d.To == "-" {
		c.note("%d records; go on with --after %d", d.Records, d.Next)
		return nil
	}
	return c.show(d, func(t *table) {
		t.row("TO", "FORMAT", "RECORDS", "OBJECTS", "NEXT")
		t.row(d.To, d.Format, fmt.Sprint(d.Records), fmt.Sprint(max(1, d.Objects)), fmt.Sprint(d.Next))
	})
}
