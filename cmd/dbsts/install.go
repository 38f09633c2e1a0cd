package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"dbsts/shared/engine/postgres"
	"dbsts/shared/logging"
	"dbsts/shared/wiring"
)

// install installs or renews dbsts on every server, and prints what was done even if some could not be.
func install(ctx context.Context, args []string, t terminal) (int, error) {
	flags, path := flagSet("install")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	migrator, err := wiring.Migrate(ctx, configPath(*path), logging.New(t.problems, ""))
	if err != nil {
		return 0, err
	}
	done, failed := migrator.Migrate(ctx)
	return exitDone, errors.Join(failed, printJSON(t.out, done))
}

// complain prints an error for a person; missing rights as statements that can be pasted.
func complain(problems io.Writer, err error) {
	missing, is := errors.AsType[*postgres.MissingError](err)
	if !is {
		_, _ = fmt.Fprintln(problems, "dbsts:", err)
		return
	}
	_, _ = fmt.Fprintln(problems, "dbsts: rights are missing; an owner or a superuser gives them with")
	for _, right := range missing.Rights {
		_, _ = fmt.Fprintf(problems, "  %s  -- %s\n", right.Statement, right.Right)
	}
}
