package servers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrForeign means that the server came from the environment, so it is not ours to restart, kill or configure.
var ErrForeign = errors.New("the server belongs to the environment")

// loginTimeout bounds [AwaitLogin]; a container on a busy machine needs some seconds.
const loginTimeout = 30 * time.Second

// External returns the server that the environment names for a major version ("": the newest one named):
//
//	DBSTS_TEST_POSTGRES_18_URL=postgres://admin:password@db.example:5432/?sslrootcert=/path/ca.pem
//
// The user must be a superuser; connections verify the host name whatever sslmode says. address is empty where none is named.
func External(version string) (major, address string) {
	if version != "" {
		return version, os.Getenv("DBSTS_TEST_POSTGRES_" + version + "_URL")
	}
	for v := Newest; v >= Oldest; v-- {
		if major, address = External(strconv.Itoa(v)); address != "" {
			return major, address
		}
	}
	return "", ""
}

func adopt(ctx context.Context, version, address string, options Options) (*Server, error) {
	name := "DBSTS_TEST_POSTGRES_" + version + "_URL"
	if len(options.Settings) > 0 || len(options.HBA) > 0 {
		return nil, fmt.Errorf("%s: settings and hba lines: %w", name, ErrForeign)
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User.Username() == "" {
		return nil, fmt.Errorf("%s: want postgres://user:password@host:port/?sslrootcert=file", name) // err would show the password
	}
	port := 5432
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return nil, fmt.Errorf("%s: port %q is no number", name, u.Port())
		}
	}
	password, _ := u.User.Password()
	s := &Server{
		Control: foreign{}, Host: u.Hostname(), Port: port, CAFile: u.Query().Get("sslrootcert"),
		AdminUser: u.User.Username(), AdminPassword: password,
	}
	if s.Version, err = AwaitLogin(ctx, s); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if majorOf(s.Version) != version {
		return nil, fmt.Errorf("%s: the server is PostgreSQL %s", name, s.Version)
	}
	return s, nil
}

// AwaitLogin logs in as the administrator, again and again until it works or half a minute is over, and returns the server's version.
func AwaitLogin(ctx context.Context, s *Server) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	for {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(ctx, s.AdminDSN("postgres")); err == nil {
			version, _, _ = strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ") // "18.4 (Debian …)"
			return version, conn.Close(ctx)
		}
		if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && strings.HasPrefix(pg.Code, "28") { // invalid authorization
			return "", fmt.Errorf("log in at %s: %w", s.Address(), err)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("log in at %s: %w", s.Address(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// majorOf returns the part of a version before its first point.
func majorOf(version string) string {
	major, _, _ := strings.Cut(version, ".")
	return major
}

type foreign struct{}

func (foreign) Stop() error                   { return nil }
func (foreign) Restart(context.Context) error { return ErrForeign }
func (foreign) Kill() error                   { return ErrForeign }
func (foreign) Pause() error                  { return ErrForeign }
func (foreign) Resume() error                 { return ErrForeign }
