package serverstest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"dbsts/tests/servers"
	"dbsts/tests/servers/serverstest"
)

// These are the promises that every source keeps. DBSTS_TEST_SOURCE=docker runs them against Docker.
func TestServer(t *testing.T) {
	for _, version := range []string{"15", "18"} {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			server := serverstest.Postgres(t, servers.Options{Version: version, Settings: map[string]string{
				"log_statement": "all", "cluster_name": `it's a \ test`, "dbsts.x": "y",
			}})
			t.Run("is of the version that was asked for", func(t *testing.T) {
				if !strings.HasPrefix(server.Version, version+".") {
					t.Errorf("got %s, want %s", server.Version, version)
				}
				if got := scan(t, login(t, server.AdminDSN("postgres")), "SHOW server_version"); !strings.HasPrefix(got, server.Version) {
					t.Errorf("Version is %s, the server says %s", server.Version, got)
				}
			})
			t.Run("lets in who proves the password over verified TLS", func(t *testing.T) {
				conn := login(t, server.AdminDSN("postgres"))
				if got := scan(t, conn, "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got != "true" {
					t.Errorf("ssl = %s", got)
				}
				if got := scan(t, conn, "SELECT left(rolpassword, 14) FROM pg_authid WHERE rolname = current_user"); got != "SCRAM-SHA-256$" {
					t.Errorf("the administrator's verifier starts with %s", got)
				}
			})
			t.Run("has settings as given", func(t *testing.T) {
				if got, want := scan(t, login(t, server.AdminDSN("postgres")), "SHOW cluster_name"), `it's a \ test`; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
			t.Run("denies a wrong password", func(t *testing.T) {
				denied(t, server.DSN("postgres", server.AdminPassword+"x", "postgres"), "28P01")
				denied(t, server.DSN("postgres", "", "postgres"), "28P01")
			})
			t.Run("denies a connection without TLS", func(t *testing.T) {
				denied(t, strings.Replace(server.AdminDSN("postgres"), "verify-full", "disable", 1), "28000")
			})
			t.Run("logs statements into LogFile", func(t *testing.T) { logsStatements(t, server) })
			t.Run("keeps its data and address over Restart and Kill", func(t *testing.T) { survives(t, server) })
			t.Run("hangs while paused", func(t *testing.T) { hangs(t, server) })
		})
	}
}

func TestServerIsNotTrustedByAnotherServersCA(t *testing.T) {
	one, two := serverstest.Postgres(t, servers.Options{Version: "18"}), serverstest.Postgres(t, servers.Options{Version: "18"})
	one.CAFile = two.CAFile
	conn, err := pgx.Connect(t.Context(), one.AdminDSN("postgres"))
	if err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("a certificate of another CA was accepted")
	}
	if !strings.Contains(err.Error(), "certificate") {
		t.Errorf("want a certificate error, got %v", err)
	}
}

func TestFirstHBALineWins(t *testing.T) {
	server := serverstest.Postgres(t, servers.Options{HBA: []string{"hostssl template1 all all reject"}})
	denied(t, server.AdminDSN("template1"), "28000")
	login(t, server.AdminDSN("postgres"))
}

func TestServerOfTheEnvironmentIsUsedAndLeftAlone(t *testing.T) {
	server := serverstest.Postgres(t, servers.Options{Version: "18"})
	t.Setenv("DBSTS_TEST_POSTGRES_18_URL", server.AdminDSN("postgres"))
	found, err := servers.Start(t.Context(), servers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if found.Address() != server.Address() || found.Version != server.Version {
		t.Errorf("got %s, %s; want %s, %s", found.Address(), found.Version, server.Address(), server.Version)
	}
	if err := found.Kill(); !errors.Is(err, servers.ErrForeign) {
		t.Errorf("Kill: want ErrForeign, got %v", err)
	}
	if err := found.Stop(); err != nil {
		t.Error(err)
	}
	login(t, server.AdminDSN("postgres"))
	if _, err := servers.Start(t.Context(), servers.Options{Version: "18", HBA: []string{"x"}}); !errors.Is(err, servers.ErrForeign) {
		t.Errorf("options that cannot be had: want ErrForeign, got %v", err)
	}
	t.Setenv("DBSTS_TEST_POSTGRES_15_URL", server.AdminDSN("postgres"))
	if _, err := servers.Start(t.Context(), servers.Options{Version: "15"}); err == nil {
		t.Error("an 18 was taken for a 15")
	}
}

func logsStatements(t *testing.T, server *servers.Server) {
	scan(t, login(t, server.AdminDSN("postgres")), "SELECT 'needle-4711'")
	for range 50 { // a container's log comes a little later
		text, err := os.ReadFile(filepath.Clean(server.LogFile))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "needle-4711") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the statement is not in the log")
}

func survives(t *testing.T, server *servers.Server) {
	ctx := t.Context()
	conn := login(t, server.AdminDSN("postgres"))
	if _, err := conn.Exec(ctx, "CREATE TABLE kept AS SELECT 'here' AS it"); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if got := scan(t, login(t, server.AdminDSN("postgres")), "SELECT it FROM kept"); got != "here" {
		t.Errorf("after Restart: %q", got)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if conn, err := pgx.Connect(ctx, server.AdminDSN("postgres")); err == nil {
		_ = conn.Close(ctx)
		t.Error("somebody answers after Kill")
	}
	if err := server.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if got := scan(t, login(t, server.AdminDSN("postgres")), "SELECT it FROM kept"); got != "here" {
		t.Errorf("after Kill and Restart: %q", got)
	}
}

func hangs(t *testing.T, server *servers.Server) {
	conn := login(t, server.AdminDSN("postgres"))
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	brief, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := pgx.Connect(brief, server.AdminDSN("postgres")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a new connection does not hang: %v", err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "SELECT 1")
		answer <- err
	}()
	select {
	case err := <-answer:
		t.Errorf("a session does not hang: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

func login(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func denied(t *testing.T, dsn, sqlstate string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("the login worked")
	}
	if pg := (*pgconn.PgError)(nil); !errors.As(err, &pg) || pg.Code != sqlstate {
		t.Errorf("want SQLSTATE %s, got %v", sqlstate, err)
	}
}

func scan(t *testing.T, conn *pgx.Conn, query string) (value string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
