package store

import (
	"context"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"gatehouse/app"
)

func TestFences(t *testing.T) {
	text := "a\n-- only sqlite\nb\n  -- end\nc\n\t-- only postgres\nd\ne\n-- end\nf"
	for engine, want := range map[string]string{"sqlite": "a\nb\nc\nf\n", "postgres": "a\nc\nd\ne\nf\n"} {
		if got, err := fenced(engine, text); err != nil || got != want {
			t.Errorf("%s: got %q, %v", engine, got, err)
		}
	}
	for _, wrong := range []string{"-- only mysql\n-- end", "-- only\n-- end", "-- only sqlite\na", "a\n-- end", "-- only sqlite\n-- only postgres\n-- end"} {
		if got, err := fenced("sqlite", wrong); err == nil {
			t.Errorf("%q is taken for %q", wrong, got)
		}
	}
}

func TestOwnMigrationsAreWellFormed(t *testing.T) {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	list, err := readMigrations(files)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d migrations, %v", len(list), err)
	}
	for _, m := range list {
		for _, engine := range []string{"sqlite", "postgres"} {
			if _, err := fenced(engine, m.text); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
	}
}

func TestMigrationsAreNamedByNumber(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	list, err := readMigrations(fstest.MapFS{"0002_b.sql": file("b\r\n"), "0010_c.sql": file("c"), "0001_a.sql": file("a"), "notes.md": file("x")})
	if err != nil || len(list) != 3 || list[0].name != "0001_a" || list[1].text != "b\n" || list[2].number != 10 {
		t.Fatalf("got %+v, %v", list, err)
	}
	for _, names := range [][]string{{"1_a.sql"}, {"0001.sql"}, {"abcd_a.sql"}, {"0001_a.sql", "0001_b.sql"}} {
		files := fstest.MapFS{}
		for _, name := range names {
			files[name] = file("x")
		}
		if list, err := readMigrations(files); err == nil {
			t.Errorf("%q are taken for %+v", names, list)
		}
	}
}

// A program's migrations over its life, each row with those of one version.
func TestMigrate(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		const one, two, three = "CREATE TABLE one (x BIGINT)", "CREATE TABLE two (x BIGINT); INSERT INTO one VALUES (1);", "CREATE TABLE three (x BIGINT)"
		for _, version := range []struct {
			name  string
			files map[string]string
			want  string // part of the error, or nothing
			ones  int    // rows in the table one afterwards
		}{
			{"the first", map[string]string{"0001_one.sql": one}, "", 0},
			{"the first again", map[string]string{"0001_one.sql": one}, "", 0},
			{"one that fails in its middle", map[string]string{"0001_one.sql": one, "0003_two.sql": two + "INSERT INTO nothing VALUES (1)"}, "0003_two", 0},
			{"the same, mended", map[string]string{"0001_one.sql": one, "0003_two.sql": two}, "", 1},
			{"one that adds a smaller number", map[string]string{"0001_one.sql": one, "0002_three.sql": three, "0003_two.sql": two}, "", 1},
			{"an older one", map[string]string{"0001_one.sql": one, "0002_three.sql": three}, "schema_newer: The database has the schema 0003_two, which this version does not know: it knows up to 0002_three", 1},
			{"one with another history", map[string]string{"0001_one.sql": one + " ", "0002_three.sql": three, "0003_two.sql": two}, "schema_differs: The migration 0001_one", 1},
			{"the newest, with other line ends", map[string]string{"0001_one.sql": one, "0002_three.sql": three, "0003_two.sql": strings.ReplaceAll(two, "\n", "\r\n")}, "", 1},
		} {
			files := fstest.MapFS{}
			for name, text := range version.files {
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
			err := s.migrate(t.Context(), files, "test_migration")
			if (err == nil) != (version.want == "") || err != nil && !strings.Contains(err.Error(), version.want) {
				t.Fatalf("%s: got %v, want %q", version.name, err, version.want)
			}
			ones := 0
			err = s.systemRead(t.Context(), "a test counts", func(tx *tx) error { return tx.row(`SELECT COUNT(*) FROM one`).Scan(&ones) })
			if err != nil || ones != version.ones {
				t.Fatalf("%s: %d rows, %v", version.name, ones, err)
			}
		}
	})
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o Options) {
		s := openStore(t, o)
		err := s.system(t.Context(), "a test plays a newer version", func(tx *tx) error {
			_, err := tx.exec(`INSERT INTO main.schema_migration (number, name, checksum, applied_at) VALUES (9999, '9999_future', 'x', 1)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), o)
		wantKind(t, err, app.KindConflict, "schema_newer")
	})
}

// Goroutines and processes that open a new database at the same moment all
// succeed, and each migration runs once.
func TestManyOpenANewDatabaseAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o Options) {
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := inProcess(o, "open"); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				if err := errands["open"](context.Background(), o); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		var seqs int
		err := openStore(t, o).systemRead(t.Context(), "a test counts", func(tx *tx) error {
			return tx.row(`SELECT COUNT(*) FROM revision`).Scan(&seqs)
		})
		if err != nil || seqs != 1 {
			t.Fatalf("%d revisions, %v", seqs, err)
		}
	})
}

// The CLI writes while the server does.
func TestTwoProcessesWriteAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, again Options) {
		id := insertOrgs(t, s, "acme")[0].ID
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if err := inProcess(again, "rename acme fifty times"); err != nil {
					t.Error(err)
				}
			})
		}
		for range 50 {
			if _, err := s.UpdateOrg(t.Context(), id, func(o *app.Org) error { o.Reason += "x"; return nil }); err != nil {
				t.Error(err)
			}
		}
		all.Wait()
		if o, err := s.Org(t.Context(), id); err != nil || len(o.Reason) != 150 {
			t.Fatalf("%d of 150 changes are there, %v", len(o.Reason), err)
		}
	})
}
