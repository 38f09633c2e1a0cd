// Package shop is a small database with dbsts installed in it, for tests: real server, real TLS, real SCRAM, an
// administrator who is no superuser, roles, catalogue and rules as a DBA would write them.
//
// One shop serves a test package. Cases keep apart by identities and roles of their own.
package shop

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"dbsts/shared/config"
	"dbsts/shared/engine/postgres"
	"dbsts/tests/servers"
	"dbsts/tests/servers/serverstest"
)

// Names that the shop is made with.
const (
	Database = "shop"
	Target   = "shop"
	Archive  = "archive" // database and target, where Options.Archive is set
	Issuer   = "https://issuer.test"
	Master   = "master" // the administrator: CREATEROLE, no superuser, as on RDS

	masterPassword = "master-password"
)

//go:embed shop.sql
var seed string

//go:embed policy.sql
var policy string

// Shop is a server with the shop's database.
type Shop struct {
	*servers.Server
	Config config.Config
	dir    string
}

// Options say how the shop is to be.
type Options struct {
	servers.Options
	Superuser bool // install as the superuser, not as the CREATEROLE administrator
	Bare      bool // do not install dbsts
	Archive   bool // make a second database, and a target for it
}

// Open makes a shop and ends it with the test.
func Open(tb testing.TB, options Options) *Shop {
	tb.Helper()
	server := serverstest.Postgres(tb, options.Options)
	shop, err := Furnish(tb.Context(), server, tb.TempDir(), options)
	if err != nil {
		tb.Fatalf("furnish the shop: %v", err)
	}
	return shop
}

// Furnish makes the shop on a fresh server; dir holds its password files.
func Furnish(ctx context.Context, server *servers.Server, dir string, options Options) (*Shop, error) {
	s := &Shop{Server: server, dir: dir}
	if err := s.configure(options.Superuser); err != nil {
		return nil, err
	}
	if err := s.Exec(ctx, "postgres", "CREATE DATABASE shop"); err != nil {
		return nil, err
	}
	if err := s.Exec(ctx, Database, strings.ReplaceAll(seed, "{{password}}", masterPassword)); err != nil {
		return nil, err
	}
	if options.Archive {
		s.Config.Targets = append(s.Config.Targets, config.Target{Name: Archive, Server: "main", Database: Archive})
		for _, statement := range []string{"CREATE DATABASE archive OWNER master", "REVOKE ALL ON DATABASE archive FROM PUBLIC"} {
			if err := s.Exec(ctx, "postgres", statement); err != nil {
				return nil, err
			}
		}
	}
	if options.Bare {
		return s, nil
	}
	if _, err := s.Install(ctx); err != nil {
		return nil, err
	}
	return s, s.Govern(ctx)
}

// Govern writes catalogue and rules, once dbsts is installed.
func (s *Shop) Govern(ctx context.Context) error { return s.Exec(ctx, Database, policy) }

// Install installs dbsts, or renews it.
func (s *Shop) Install(ctx context.Context) (postgres.Installation, error) {
	return postgres.Install(ctx, s.Config.Servers[0], s.Config.Targets)
}

// Exec runs statements as the superuser.
func (s *Shop) Exec(ctx context.Context, database, statements string) error {
	conn, err := pgx.Connect(ctx, s.AdminDSN(database))
	if err != nil {
		return fmt.Errorf("connect as administrator: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.PgConn().Exec(ctx, statements).ReadAll(); err != nil {
		return fmt.Errorf("run statements: %w", err)
	}
	return nil
}

// Admin is a superuser's connection to the shop, closed with the test.
func (s *Shop) Admin(tb testing.TB) *pgx.Conn {
	tb.Helper()
	return s.Connect(tb, s.AdminUser, s.AdminPassword)
}

// Connect logs in to the shop over TLS, or fails the test.
func (s *Shop) Connect(tb testing.TB, user, password string) *pgx.Conn {
	tb.Helper()
	conn, err := s.Dial(tb.Context(), user, password)
	if err != nil {
		tb.Fatalf("log in as %s: %v", user, err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

// Dial logs in to the shop over TLS.
func (s *Shop) Dial(ctx context.Context, user, password string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, s.DSN(user, password, Database))
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", user, err)
	}
	return conn, nil
}

// Engine opens the engine of one function.
func (s *Shop) Engine(tb testing.TB, login config.Login, conns int32) *postgres.Engine {
	tb.Helper()
	e, err := postgres.Open(tb.Context(), s.Config.Servers[0], postgres.Options{Login: login, MaxConns: conns})
	if err != nil {
		tb.Fatalf("open engine: %v", err)
	}
	tb.Cleanup(e.Close)
	return e
}

// Logins are the broker's accounts.
func (s *Shop) Logins() config.Logins { return s.Config.Servers[0].Logins }

// Login writes a password to the account's password file and gives the login that reads it.
func (s *Shop) Login(user, password string) (config.Login, error) {
	login := config.Login{User: user, PasswordFile: filepath.Join(s.dir, user)}
	if err := os.WriteFile(login.PasswordFile, []byte(password+"\n"), 0o600); err != nil {
		return config.Login{}, fmt.Errorf("write password file: %w", err)
	}
	return login, nil
}

func (s *Shop) configure(superuser bool) error {
	logins := map[string]config.Login{}
	for user, password := range map[string]string{
		"dbsts_exchange": "exchange-password", "dbsts_revoke": "revoke-password", "dbsts_sweep": "sweep-password",
		Master: masterPassword, s.AdminUser: s.AdminPassword,
	} {
		login, err := s.Login(user, password)
		if err != nil {
			return err
		}
		logins[user] = login
	}
	installer := Master
	if superuser {
		installer = s.AdminUser
	}
	s.Config = config.Config{
		Servers: []config.Server{{
			Name: "main", Engine: "postgres", Address: s.Address(), PublicAddress: s.Address(), Home: Database,
			TLS: config.TLS{CAFile: s.CAFile, ServerName: s.Host}, Credentials: "password", SCRAMIterations: 4096,
			Logins: config.Logins{
				Exchange: logins["dbsts_exchange"], Revoke: logins["dbsts_revoke"], Sweep: logins["dbsts_sweep"], Migrate: logins[installer],
			},
		}},
		Targets: []config.Target{{Name: Target, Server: "main", Database: Database}},
	}
	return nil
}

// URL is a connection URL with a password in it, for clients other than pgx.
func (s *Shop) URL(user, password string) *url.URL {
	u, err := url.Parse(s.DSN(user, password, Database))
	if err != nil {
		panic(err)
	}
	return u
}
