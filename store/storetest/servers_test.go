package storetest

import (
	"context"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Main(m) }

func TestPostgresGivesEachTestADatabaseOfItsOwn(t *testing.T) {
	first, second := connect(t, Postgres(t)), connect(t, Postgres(t))
	run(t, first, "CREATE TABLE note (text TEXT)")
	run(t, second, "CREATE TABLE note (text TEXT)") // fails in the same database
	var fsync string
	if err := first.QueryRow(context.Background(), "SHOW fsync").Scan(&fsync); err != nil || fsync != "on" {
		t.Fatalf("fsync is %q, %v; a killed writer could not be tested", fsync, err)
	}
}

func TestPostgresKeepsItsDataOverAStop(t *testing.T) {
	server, dsn := NewPostgres(t)
	run(t, connect(t, dsn), "CREATE TABLE note (text TEXT)")
	server.Stop()
	if conn, err := pgx.Connect(context.Background(), dsn); err == nil {
		conn.Close(context.Background())
		t.Fatal("a stopped server answers")
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	run(t, connect(t, dsn), "INSERT INTO note VALUES ('still here')")
}

func TestRedisStopsAndStarts(t *testing.T) {
	server := NewRedis(t)
	if server.Addr == Redis(t) {
		t.Fatal("two tests share one Redis")
	}
	server.Stop()
	server.Stop()
	if conn, err := net.Dial("tcp", server.Addr); err == nil {
		conn.Close()
		t.Fatal("a stopped Redis answers")
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if err := server.ping(); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func run(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
