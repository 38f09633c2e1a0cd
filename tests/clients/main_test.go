// Package clients_test runs clients and identity providers that others wrote, unchanged, against the service as it is
// deployed: the built exchange function under the Runtime API, behind the HTTPS gateway of the local stack, with a real
// PostgreSQL server, in which every login obtained must work.
//
// The clients' code in docs/clients.md is the code that runs here. What needs npm runs with DBSTS_TEST=all only. It does
// not test what the service refuses, nor how a login ends: tests/e2e does.
package clients_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"dbsts/localstack/gateway"
	"dbsts/localstack/issuer"
	"dbsts/shared/config"
	"dbsts/tests/servers/serverstest"
	"dbsts/tests/shop"
)

const (
	root     = "../.." // the repository's folder, seen from this package
	function = "ExchangeFunction"
	audience = "dbsts-clients" // what tokens of our own issuer are for
)

// run is what all tests share.
var run struct {
	dir         string // of the built function, certificates and configurations
	certificate *gateway.Certificate
	caFile      string // the same for who wants a file
	shop        *shop.Shop
	issuer      string      // the local stack's, for tests of clients
	stack       *deployment // trusts that issuer
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		defer tidy()
		if err := prepare(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "prepare the tests of clients:", err)
			return 1
		}
		return m.Run()
	}())
}

func tidy() {
	if run.stack != nil {
		run.stack.function.Close()
	}
	if run.shop != nil {
		if err := run.shop.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the server:", err)
		}
	}
	_ = os.RemoveAll(run.dir)
}

// prepare builds the function and starts the server at the same time, then the issuer and the deployment of all clients.
func prepare(ctx context.Context) (err error) {
	if run.dir, err = os.MkdirTemp("", "dbsts-clients"); err != nil {
		return err
	}
	if run.certificate, err = gateway.NewCertificate(); err != nil {
		return err
	}
	run.caFile = filepath.Join(run.dir, "ca.pem")
	if err = os.WriteFile(run.caFile, run.certificate.PEM, 0o600); err != nil {
		return err
	}
	var group errgroup.Group
	group.Go(func() error { return build(ctx) })
	group.Go(func() error { return furnish(ctx) })
	if err = group.Wait(); err != nil {
		return err
	}
	run.issuer, err = run.certificate.Serve(ctx, func(url string) (http.Handler, error) { return issuer.Handler(url, audience) })
	if err != nil {
		return err
	}
	if err = run.shop.Exec(ctx, shop.Database, "UPDATE dbsts.rules SET issuer = '"+run.issuer+"'"); err != nil {
		return err
	}
	run.stack, err = deploy(ctx, trusted(config.Issuer{Issuer: run.issuer, Audiences: []string{audience}, JWKSURI: run.issuer + "/keys"}))
	return err
}

// build makes the function's deployment package as `sam build` does, but for this machine.
func build(ctx context.Context) error {
	//nolint:gosec // the folder is ours
	command := exec.CommandContext(ctx, "make", "-s", "-C", root, "build-"+function, "ARTIFACTS_DIR="+run.dir, "LAMBDA_ARCH="+goruntime.GOARCH)
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { // of a make that may have started us
		return strings.HasPrefix(variable, "MAKE") || strings.HasPrefix(variable, "MFLAGS")
	})
	if output, err := command.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("build %s: %w", function, err), errors.New(string(output)))
	}
	return nil
}

func furnish(ctx context.Context) error {
	options := shop.Options{}
	options.Version = "18"
	server, err := serverstest.Start(ctx, options.Options)
	if err != nil {
		return err
	}
	run.shop = &shop.Shop{Server: server} // for tidy, whatever happens next
	furnished, err := shop.Furnish(ctx, server, run.dir, options)
	if err == nil {
		run.shop = furnished
	}
	return err
}

// long tells whether this run has time, and npm, for more.
func long() bool { return os.Getenv("DBSTS_TEST") == "all" }
