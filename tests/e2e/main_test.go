package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"dbsts/localstack/gateway"
)

// root is the repository's folder, seen from this package.
const root = "../.."

// run is what all tests share.
var run struct {
	dir         string               // of the built functions, of certificates and configurations
	certificate *gateway.Certificate // of gateways and issuers
	caFile      string               // the same for those who want a file
	logs        buffer               // everything that all functions of all deployments wrote
	spoken      needles              // secrets, tokens and claims that were on the wire

	mu    sync.Mutex
	sites map[string]*site // by version
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		defer func() { _ = os.RemoveAll(run.dir) }() // "": nothing
		if err := prepare(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "prepare the end-to-end tests:", err)
			return 1
		}
		code := m.Run()
		leaked := run.spoken.functionLog(&run.logs)
		for _, s := range run.sites {
			leaked = append(leaked, run.spoken.serverLog(s)...)
			if err := s.close(); err != nil {
				leaked = append(leaked, err.Error())
			}
		}
		for _, leak := range leaked {
			fmt.Fprintln(os.Stderr, "after the whole run:", leak)
			code = max(code, 1)
		}
		return code
	}())
}

// prepare builds the functions and makes the certificate of gateways and issuers.
func prepare(ctx context.Context) (err error) {
	if run.dir, err = os.MkdirTemp("", "dbsts-e2e"); err != nil {
		return err
	}
	run.sites = map[string]*site{}
	run.caFile = filepath.Join(run.dir, "ca.pem")
	if run.certificate, err = gateway.NewCertificate(); err != nil {
		return err
	}
	if err = os.WriteFile(run.caFile, run.certificate.PEM, 0o600); err != nil {
		return err
	}
	var group errgroup.Group
	for _, id := range []string{"ExchangeFunction", "RevokeFunction", "SweepFunction", "MigrateFunction"} {
		group.Go(func() error { return build(ctx, id) })
	}
	return group.Wait()
}

// build makes a function's deployment package as `sam build` does, but for this machine.
func build(ctx context.Context, id string) error {
	into := filepath.Join(run.dir, id)
	if err := os.Mkdir(into, 0o700); err != nil {
		return err
	}
	arguments := []string{"-s", "-C", root, "build-" + id, "ARTIFACTS_DIR=" + into, "LAMBDA_ARCH=" + goruntime.GOARCH}
	command := exec.CommandContext(ctx, "make", arguments...) //nolint:gosec // our own words
	// A make that started us would have its own say in ours.
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "MAKE") || strings.HasPrefix(variable, "MFLAGS")
	})
	output, err := command.CombinedOutput()
	if err == nil {
		_, err = os.Stat(filepath.Join(into, "bootstrap"))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("build %s: %w", id, err), errors.New(string(output)))
	}
	return nil
}

// long tells whether this run has time for more: all versions, longer schedules.
func long() bool { return os.Getenv("DBSTS_TEST") == "all" }

// versions are the PostgreSQL majors that this run uses.
func versions() []string {
	if long() {
		return []string{"15", "16", "17", "18"}
	}
	return []string{"15", "18"}
}

// onEach runs a test on each version's site. Sites run beside each other; the tests of one site one after the other, so
// that each may break its server, and count its rows.
func onEach(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, openSite(t, version))
		})
	}
}
