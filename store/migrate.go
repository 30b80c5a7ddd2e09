package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"gatehouse/app"
)

// migration is one numbered file of SQL.
type migration struct {
	number   int64
	name     string // "0001_base"
	text     string // of both engines, fences included
	checksum string // SHA-256 of text in hex
}

// migrate brings the schema to what the files say. Each migration runs in a
// transaction that also records it; processes that start together wait for
// each other. table names the record: a second set of files has its own.
func (s *Store) migrate(ctx context.Context, files fs.FS, table string) error {
	list, err := readMigrations(files)
	if err != nil {
		return err
	}
	if err := s.prepareRecord(ctx, table); err != nil {
		return err
	}
	if err := s.checkRecord(ctx, table, list); err != nil {
		return err
	}
	for _, m := range list {
		if err := s.apply(ctx, table, m); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	return nil
}

// prepareRecord creates the table that records migrations, and PostgreSQL's
// schema, under the same lock as the migrations themselves.
func (s *Store) prepareRecord(ctx context.Context, table string) error {
	return s.system(ctx, "migrate the schema", func(tx *tx) error {
		if _, err := tx.exec(s.dialect.migrationLock); err != nil {
			return err
		}
		text, err := fenced(s.dialect.fence, "-- only postgres\nCREATE SCHEMA IF NOT EXISTS main;\n-- end\n"+
			"CREATE TABLE IF NOT EXISTS main."+table+` (
				number     BIGINT PRIMARY KEY,
				name       TEXT NOT NULL,
				checksum   TEXT NOT NULL,
				applied_at BIGINT NOT NULL
			)`)
		if err == nil {
			_, err = tx.exec(text)
		}
		return err
	})
}

// checkRecord refuses a schema that this program did not write.
func (s *Store) checkRecord(ctx context.Context, table string, list []migration) error {
	known, newest := map[int64]migration{}, ""
	for _, m := range list {
		known[m.number], newest = m, m.name
	}
	return s.systemRead(ctx, "check the schema's version", func(tx *tx) error {
		applied, err := rows(tx, scanMigration, `SELECT number, name, checksum FROM `+table+` ORDER BY number`)
		for _, a := range applied {
			m, ok := known[a.number]
			switch {
			case !ok:
				return newerSchema(a.name, newest)
			case m.checksum != a.checksum:
				return changedMigration(m.name)
			}
		}
		return err
	})
}

func scanMigration(row scanner) (m migration, err error) {
	return m, row.Scan(&m.number, &m.name, &m.checksum)
}

func newerSchema(theirs, ours string) error {
	return &app.Error{Kind: app.KindConflict, Code: "schema_newer",
		Message: fmt.Sprintf("The database has the schema %s, which this version does not know: it knows up to %s.", theirs, ours),
		Advice:  "Start the version of Gatehouse that wrote it, or restore a backup from before that upgrade."}
}

func changedMigration(name string) error {
	return &app.Error{Kind: app.KindConflict, Code: "schema_differs",
		Message: fmt.Sprintf("The migration %s in the database is not the one of this version.", name),
		Advice:  "Start the version of Gatehouse that wrote the database."}
}

// apply runs one migration unless it has been, by this process or another.
func (s *Store) apply(ctx context.Context, table string, m migration) error {
	text, err := fenced(s.dialect.fence, m.text)
	if err != nil {
		return err
	}
	return s.system(ctx, "migrate the schema", func(tx *tx) error {
		if _, err := tx.exec(s.dialect.migrationLock); err != nil {
			return err
		}
		var one int
		err := tx.row(`SELECT 1 FROM `+table+` WHERE number = $1`, m.number).Scan(&one)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if _, err := tx.exec(text); err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO main.`+table+` (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)`,
			m.number, m.name, m.checksum, s.now().UnixMilli())
		return err
	})
}

// readMigrations reads every NNNN_name.sql in the order of its number.
func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	var list []migration
	for _, file := range names { // Glob sorts, and four digits sort as numbers
		raw, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(file, ".sql")
		digits, _, ok := strings.Cut(name, "_")
		number, err := strconv.ParseInt(digits, 10, 64)
		if !ok || len(digits) != 4 || err != nil {
			return nil, fmt.Errorf("migration %q: the name must look like 0001_base.sql", file)
		}
		if len(list) > 0 && list[len(list)-1].number == number {
			return nil, fmt.Errorf("migration %q: the number is taken by %s", file, list[len(list)-1].name)
		}
		text := strings.ReplaceAll(string(raw), "\r\n", "\n")
		sum := sha256.Sum256([]byte(text))
		list = append(list, migration{number: number, name: name, text: text, checksum: hex.EncodeToString(sum[:])})
	}
	return list, nil
}

// fenced leaves out what stands between "-- only <other engine>" and "-- end".
func fenced(engine, text string) (string, error) {
	var out strings.Builder
	open := "" // the engine of the fence that the line is in
	for number, line := range strings.Split(text, "\n") {
		word, isFence := strings.CutPrefix(strings.TrimSpace(line), "-- only ")
		switch {
		case isFence && open != "":
			return "", fmt.Errorf("line %d: a fence within a fence", number+1)
		case isFence && word != "postgres" && word != "sqlite":
			return "", fmt.Errorf("line %d: %q is neither postgres nor sqlite", number+1, word)
		case isFence:
			open = word
		case strings.TrimSpace(line) == "-- end" && open == "":
			return "", fmt.Errorf("line %d: an end without a fence", number+1)
		case strings.TrimSpace(line) == "-- end":
			open = ""
		case open == "" || open == engine:
			out.WriteString(line + "\n")
		}
	}
	if open != "" {
		return "", fmt.Errorf("the fence for %s has no end", open)
	}
	return out.String(), nil
}
