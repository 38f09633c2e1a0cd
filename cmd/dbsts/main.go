// Command dbsts is the operator's and the DBA's way in.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"dbsts/shared/engine/postgres"
	"dbsts/shared/logging"
	"dbsts/shared/wiring"
)

const usage = `dbsts: short-lived database logins for OpenID Connect tokens

usage:
  dbsts install [-config dbsts.yaml]   install or renew schema, routines and logins on every server

The configuration is found in -config, else in DBSTS_CONFIG, else in ./dbsts.yaml.
`

// Exit codes: 2 is a mistake in the command line, 1 is work that could not be done.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process around it.
func run(ctx context.Context, args []string, out, problems io.Writer) int {
	if len(args) == 0 || args[0] != "install" {
		_, _ = io.WriteString(problems, usage)
		return exitUsage
	}
	flags := flag.NewFlagSet("dbsts install", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() { _, _ = io.WriteString(problems, usage) }
	path := flags.String("config", "", "the configuration file")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return exitUsage
	}
	if err := install(ctx, configPath(*path), out, problems); err != nil {
		explain(problems, err)
		return exitFailed
	}
	return 0
}

func install(ctx context.Context, path string, out, problems io.Writer) error {
	migrator, err := wiring.Migrate(ctx, path, logging.New(problems, ""))
	if err != nil {
		return err
	}
	done, failed := migrator.Migrate(ctx)
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(done); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return failed
}

// explain prints the error for a person; missing rights as statements that can be pasted.
func explain(problems io.Writer, err error) {
	var missing *postgres.MissingError
	if !errors.As(err, &missing) {
		_, _ = fmt.Fprintln(problems, "dbsts:", err)
		return
	}
	_, _ = fmt.Fprintln(problems, "dbsts: rights are missing; an owner or a superuser gives them with")
	for _, right := range missing.Rights {
		_, _ = fmt.Fprintf(problems, "  %s  -- %s\n", right.Statement, right.Right)
	}
}

func configPath(given string) string {
	for _, path := range []string{given, os.Getenv("DBSTS_CONFIG")} {
		if path != "" {
			return path
		}
	}
	return "dbsts.yaml"
}
