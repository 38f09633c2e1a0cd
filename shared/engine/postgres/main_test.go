package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"dbsts/shared/config"
	"dbsts/shared/engine/postgres"
	"dbsts/tests/servers"
	"dbsts/tests/servers/serverstest"
	"dbsts/tests/shop"
)

// fleet is the servers that the tests of this package share.
var fleet = fleetOf{shops: map[string]*server{}}

type fleetOf struct {
	sync.Mutex
	shops map[string]*server
	dirs  []string
}

func TestMain(m *testing.M) {
	code := m.Run()
	for name, s := range fleet.shops {
		s.close()
		s.admin.Close()
		if err := s.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stop server %s: %v\n", name, err)
			code = 1
		}
	}
	for _, dir := range fleet.dirs {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// versions are those that this run tests in full.
func versions() []string {
	if os.Getenv("DBSTS_TEST") == "all" {
		return []string{"15", "16", "17", "18"}
	}
	return []string{"15", "18"}
}

// oldVersions are those that this run only tries.
func oldVersions() []string {
	if os.Getenv("DBSTS_TEST") == "all" {
		return []string{"13", "14"}
	}
	return nil
}

// onEach runs a test on each version's shared server, the versions beside each other.
func onEach(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, shared(t, version))
		})
	}
}

// settings are what the shared servers need for some test or other.
func settings() map[string]string {
	return map[string]string{"max_prepared_transactions": "20", "log_statement": "all", "log_min_error_statement": "error"}
}

// shared gives the server of a version that has dbsts installed, by the CREATEROLE administrator.
func shared(t *testing.T, version string) *server {
	t.Helper()
	return fleet.get(t, version, shop.Options{Options: servers.Options{Version: version, Settings: settings()}, Archive: true})
}

// get gives the server of a name, and makes it when it is asked for first.
func (f *fleetOf) get(t *testing.T, name string, options shop.Options) *server {
	t.Helper()
	f.Lock()
	s := f.shops[name]
	f.Unlock()
	if s != nil {
		return s
	}
	ctx := context.Background() // the server outlives this test
	started, err := serverstest.Start(ctx, options.Options)
	if err != nil {
		t.Fatalf("no PostgreSQL server: %v", err)
	}
	dir, err := os.MkdirTemp("", "dbsts") //nolint:usetesting // so do its password files
	if err != nil {
		t.Fatal(err)
	}
	furnished, err := shop.Furnish(ctx, started, dir, options)
	if err != nil {
		t.Fatalf("furnish the shop: %v", errors.Join(err, started.Stop()))
	}
	pool, err := pgxpool.New(ctx, furnished.AdminDSN(shop.Database))
	if err != nil {
		t.Fatal(errors.Join(err, started.Stop()))
	}
	s = &server{Shop: furnished, admin: pool, engines: map[string]*postgres.Engine{}}
	f.Lock()
	defer f.Unlock()
	f.shops[name], f.dirs = s, append(f.dirs, dir)
	return s
}

// server is a shop with everything that tests do to it. Safe for concurrent use.
type server struct {
	*shop.Shop
	admin *pgxpool.Pool // superuser's sessions in the shop's database

	dcl     sync.Mutex // statements that change the same catalog rows (GRANT on one table) take turns
	opening sync.Mutex
	engines map[string]*postgres.Engine // by function; shared by all tests
}

func (s *server) engine(function string, login config.Login) *postgres.Engine {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.engines[function] == nil {
		e, err := postgres.Open(context.Background(), s.conf(), postgres.Options{Login: login, MaxConns: 20})
		if err != nil {
			panic(err)
		}
		s.engines[function] = e
	}
	return s.engines[function]
}

// close ends the engines' sessions; the next use opens new ones.
func (s *server) close() {
	s.opening.Lock()
	defer s.opening.Unlock()
	for function, e := range s.engines {
		e.Close()
		delete(s.engines, function)
	}
}

// exec runs statements, which may not take arguments when they are several, as the superuser.
func (s *server) exec(ctx context.Context, statements string, args ...any) error {
	var err error
	if len(args) == 0 {
		err = s.Exec(ctx, shop.Database, statements)
	} else {
		_, err = s.admin.Exec(ctx, statements, args...)
	}
	if err != nil {
		return fmt.Errorf("administrator: %w", err)
	}
	return nil
}

// one gives one value as the superuser sees it, or fails the test.
func one[T any](t *testing.T, s *server, query string, args ...any) T {
	t.Helper()
	var value T
	if err := s.admin.QueryRow(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}
