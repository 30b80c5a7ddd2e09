package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatehouse/app"
)

// doors are the ways into the store; each row says what a door lets pass.
func TestDoors(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		org := insertOrgs(t, s, "acme")[0].ID
		type door func(context.Context, func(*tx) error) error
		for _, row := range []struct {
			name  string
			door  door
			write bool
		}{
			{"tenant", func(ctx context.Context, fn func(*tx) error) error { return s.tenant(ctx, org, fn) }, true},
			{"tenantRead", func(ctx context.Context, fn func(*tx) error) error { return s.tenantRead(ctx, org, fn) }, false},
			{"system", func(ctx context.Context, fn func(*tx) error) error { return s.system(ctx, "a test", fn) }, true},
			{"systemRead", func(ctx context.Context, fn func(*tx) error) error { return s.systemRead(ctx, "a test", fn) }, false},
		} {
			rename := func(name string, answer error) error {
				return row.door(t.Context(), func(tx *tx) error {
					if _, err := tx.exec(`UPDATE main.org SET name = $2 WHERE id = $1`, org, name); err != nil {
						return err
					}
					return answer
				})
			}
			if err := rename(row.name, nil); (err == nil) != row.write {
				t.Errorf("%s: a write answers %v", row.name, err)
			}
			stop := errors.New("stop")
			if err := rename("undone", stop); row.write && !errors.Is(err, stop) {
				t.Errorf("%s: got %v", row.name, err)
			}
			want := map[bool]string{true: row.name}[row.write]
			if o, err := s.Org(t.Context(), org); err != nil || row.write && o.Name != want || o.Name == "undone" {
				t.Errorf("%s: the name is %q, %v", row.name, o.Name, err)
			}
		}
	})
}

func TestNoDoorForNobody(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		enter := func(*tx) error { t.Error("a statement ran for no organization"); return nil }
		wantKind(t, s.tenant(t.Context(), "", enter), app.KindNotFound, "not_found")
		wantKind(t, s.tenantRead(t.Context(), "", enter), app.KindNotFound, "not_found")
	})
}

// A panic behind a door leaves the store usable: SQLite's one writing
// connection comes back.
func TestAPanicRollsBack(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		org := insertOrgs(t, s, "acme")[0]
		func() {
			defer func() { _ = recover() }()
			_, _ = s.UpdateOrg(t.Context(), org.ID, func(*app.Org) error { panic("a fault") })
		}()
		if o, err := s.UpdateOrg(t.Context(), org.ID, func(o *app.Org) error { o.Name = "after"; return nil }); err != nil || o.Name != "after" {
			t.Fatalf("got %+v, %v", o, err)
		}
	})
}

func TestContextsEndStatements(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		org := insertOrgs(t, s, "acme")[0].ID
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Org(cancelled, org)
		wantKind(t, err, app.KindCancelled, "cancelled")
		late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		defer cancel()
		_, err = s.Org(late, org)
		wantKind(t, err, app.KindUnavailable, "store_timeout")

		halfway, cancel := context.WithCancel(t.Context())
		_, err = s.UpdateOrg(halfway, org, func(o *app.Org) error { o.Name = "half"; cancel(); return nil })
		wantKind(t, err, app.KindCancelled, "cancelled")
		if o, err := s.Org(t.Context(), org); err != nil || o.Name == "half" {
			t.Fatalf("half a change stands: %+v, %v", o, err)
		}
		if _, err := s.UpdateOrg(t.Context(), org, func(*app.Org) error { return nil }); err != nil {
			t.Fatalf("the next writer: %v", err)
		}
	})
}

// Readers do not wait for a writer, and do not see what it has not committed.
func TestReadersPassAWriter(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		org := insertOrgs(t, s, "acme")[0]
		_, err := s.UpdateOrg(t.Context(), org.ID, func(o *app.Org) error {
			o.Name = "new"
			for range 20 {
				if read, err := s.Org(t.Context(), org.ID); err != nil || read.Name != org.Name {
					t.Errorf("meanwhile the name is %q, %v", read.Name, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
