// Package serverstest gives a test a real database server, and takes it away at the test's end. A server that cannot be
// had fails the test; nothing is ever skipped.
package serverstest

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"dbsts/tests/servers"
	"dbsts/tests/servers/docker"
)

// timeout bounds a start: two packages may have to fetch and initialise a version, or Docker to pull it, on a slow line.
const timeout = 5 * time.Minute

// Postgres starts a server for tb and stops it in tb's clean-up. When tb has failed, the end of the server's log follows.
// Start one per test package (see [Main]), as far as its tests do not break it.
func Postgres(tb testing.TB, options servers.Options) *servers.Server {
	tb.Helper()
	if options.Log == nil {
		options.Log = tb.Output()
	}
	ctx, cancel := context.WithTimeout(tb.Context(), timeout)
	defer cancel()
	server, err := Start(ctx, options)
	if err != nil {
		tb.Fatalf("no PostgreSQL server for the test: %v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the server's log ends with:\n%s", logTail(server.LogFile))
		}
		if err := server.Stop(); err != nil {
			tb.Errorf("stop the PostgreSQL server: %v", err)
		}
	})
	return server
}

// Start is for a TestMain, which has no testing.TB: a server from the environment, else from Docker when an engine
// answers, else from server binaries. DBSTS_TEST_SOURCE=docker takes nothing but Docker, =binaries does not ask for it;
// without it, a Docker that cannot give the server is passed over with a line in options.Log.
func Start(ctx context.Context, options servers.Options) (*servers.Server, error) {
	if options.Log == nil {
		options.Log = io.Discard
	}
	source := os.Getenv("DBSTS_TEST_SOURCE")
	if _, address := servers.External(options.Version); address != "" || source == "binaries" {
		return servers.Start(ctx, options)
	}
	if source == "docker" {
		return docker.Start(ctx, options)
	}
	if docker.Answers(ctx) {
		server, err := docker.Start(ctx, options)
		if err == nil {
			return server, nil
		}
		_, _ = fmt.Fprintf(options.Log, "Docker answers but gives no server, taking binaries: %v\n", err)
	}
	return servers.Start(ctx, options)
}

// Main runs a package's tests with one server, for its TestMain: os.Exit(serverstest.Main(m, options, &server)).
func Main(m *testing.M, options servers.Options, into **servers.Server) int {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if options.Log == nil {
		options.Log = os.Stderr
	}
	server, err := Start(ctx, options)
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "no PostgreSQL server for the tests: %v\n", err)
		return 1
	}
	*into = server
	code := m.Run()
	if err := server.Stop(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "stop the PostgreSQL server: %v\n", err)
		return max(code, 1)
	}
	return code
}

func logTail(path string) string {
	const lines = 40
	text, err := os.ReadFile(path) //nolint:gosec // the server's log
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
