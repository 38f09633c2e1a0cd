package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

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
	answer, failed := migrator.Migrate(ctx)
	done, _ := answer.([]postgres.Installation)
	if len(done) == 0 {
		return exitDone, failed
	}
	for i := range done {
		done[i].Applied = append([]string{}, done[i].Applied...) // [] and not null
	}
	return exitDone, errors.Join(failed, printJSON(t.out, done))
}

// statementWidth is where a printed statement is broken, in columns.
const statementWidth = 120

// complain prints an error for a person; missing rights as statements that can be pasted.
func complain(problems io.Writer, err error) {
	missing, is := errors.AsType[*postgres.MissingError](err)
	if !is {
		_, _ = fmt.Fprintln(problems, "dbsts:", err)
		return
	}
	_, _ = fmt.Fprintln(problems, "dbsts: rights are missing; an owner or a superuser gives them with")
	for _, right := range missing.Rights {
		_, _ = fmt.Fprintf(problems, "  -- %s\n", strings.ReplaceAll(wrap(right.Right), "\n", "\n  --"))
		_, _ = fmt.Fprintf(problems, "  %s\n", wrap(right.Statement))
	}
}

// wrap breaks a text behind commas, but not within a quoted name.
func wrap(text string) string {
	var wrapped strings.Builder
	column, quoted := 0, false
	for _, piece := range strings.SplitAfter(text, ", ") {
		if !quoted && column > 0 && column+len(piece) > statementWidth {
			wrapped.WriteString("\n    ")
			column = 0
		}
		wrapped.WriteString(piece)
		column += len(piece)
		quoted = quoted != (strings.Count(piece, `"`)%2 == 1)
	}
	return strings.ReplaceAll(wrapped.String(), " \n", "\n")
}
