// Package postgres is the engine for PostgreSQL 13 to 18: thin Go over the routines in sql/.
//
// It assumes that `dbsts install` has been run in the home database and that its login may only execute published
// routines. It decides nothing: every ceiling is in the SQL. It never sends a password to be stored, only a verifier.
package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"dbsts/shared/config"
	"dbsts/shared/engine"
)

// Time limits (design, "Numbers and names"). A frozen function may wake up with dead sockets: pingTimeout bounds how
// long such a socket is believed in.
const (
	dialTimeout      = 3 * time.Second
	pingTimeout      = 750 * time.Millisecond
	statementTimeout = 5 * time.Second
	callTimeout      = statementTimeout + 500*time.Millisecond // a server that has not answered by then is frozen
	lockTimeout      = 2 * time.Second
	idleTime         = 5 * time.Minute
	connLifetime     = 30 * time.Minute
)

// Options are what an engine needs beside the server's configuration.
type Options struct {
	Login    config.Login // the account of this function
	MaxConns int32        // sessions at once; 0 is 1
}

// Engine is one function's way to one server. Safe for concurrent use.
type Engine struct {
	pool       *pgxpool.Pool
	server     string // address in the configuration: each routine compares it with where it was installed
	iterations int
}

var (
	_ engine.Minter  = (*Engine)(nil)
	_ engine.Revoker = (*Engine)(nil)
	_ engine.Ender   = (*Engine)(nil)
)

// Open prepares an engine. It does not connect: an unreachable server is an error of the first call, not of Open.
func Open(ctx context.Context, server config.Server, opts Options) (*Engine, error) {
	cfg, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, fmt.Errorf("prepare pool: %w", err)
	}
	conn, err := connConfig(server, opts.Login, server.Home)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig = conn
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = milliseconds(statementTimeout)
	cfg.ConnConfig.RuntimeParams["lock_timeout"] = milliseconds(lockTimeout)
	// What a client asks for at the start outranks what somebody has set for the role (manual, ALTER ROLE).
	cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = "read committed"
	cfg.ConnConfig.RuntimeParams["default_transaction_read_only"] = "off"
	cfg.MaxConns = max(opts.MaxConns, 1)
	cfg.MinConns = 0
	cfg.MaxConnIdleTime = idleTime
	cfg.MaxConnLifetime = connLifetime
	cfg.PingTimeout = pingTimeout
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		password, perr := opts.Login.Password() // read at each dial: a rotated password needs no restart
		if perr != nil {
			return perr
		}
		c.Password = password.Reveal()
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare pool: %w", err)
	}
	return &Engine{pool: pool, server: server.Address, iterations: server.SCRAMIterations}, nil
}

// Warm opens one session, so that the first caller need not wait for it. Its error only informs.
func (e *Engine) Warm(ctx context.Context) error {
	if err := e.pool.Ping(ctx); err != nil {
		return classify(err)
	}
	return nil
}

// Close ends the sessions. The engine is of no use afterwards.
func (e *Engine) Close() { e.pool.Close() }

// connConfig is how every connection of ours is made: TLS verified in full, SCRAM only, so that neither a wrong server
// nor one that asks for the password in clear gets anything.
func connConfig(server config.Server, login config.Login, database string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig("sslmode=disable require_auth=scram-sha-256")
	if err != nil {
		return nil, fmt.Errorf("prepare connection: %w", err)
	}
	host, port, err := net.SplitHostPort(server.Address)
	if err != nil {
		return nil, fmt.Errorf("server %s: address: %w", server.Name, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("server %s: port: %w", server.Name, err)
	}
	roots, err := rootCAs(server.TLS.CAFile)
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", server.Name, err)
	}
	name := server.TLS.ServerName
	if name == "" {
		name = host
	}
	cfg.Host, cfg.Port, cfg.User, cfg.Database = host, uint16(number), login.User, database
	cfg.Fallbacks = nil
	cfg.TLSConfig = &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}
	cfg.ConnectTimeout = dialTimeout
	cfg.RuntimeParams = map[string]string{"application_name": "dbsts"}
	return cfg, nil
}

// rootCAs reads a CA file; nil, the system's roots, when there is none.
func rootCAs(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // crypto/tls: a nil pool means the system's roots
	}
	pem, err := os.ReadFile(path) //nolint:gosec // the path comes from the deployment's own configuration
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca_file: no certificate in it")
	}
	return pool, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
