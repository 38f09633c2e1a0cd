// Command dbsts is the operator's and the DBA's way in.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf16"
)

const usage = `dbsts: short-lived database logins for OpenID Connect tokens

usage:
  dbsts install [-config FILE]
        install or renew schema, routines and logins on every server
  dbsts lint [-config FILE] [-server NAME | -doc FILE] [-json]
        look for rules that say something else than their author meant
  dbsts explain [-config FILE] -target NAME [-role NAME]… [-ttl SECONDS] [-kind KIND] [-doc FILE] [-json] < token
  dbsts explain [-config FILE] -target NAME [-role NAME]… [-ttl SECONDS] -claims FILE [-issuer ISS] [-doc FILE] [-json]
        what the exchange would answer to a token, or to claims, and why; nothing is minted or put on record

  -config FILE   the configuration; else DBSTS_CONFIG, else ./dbsts.yaml
  -server NAME   one server of the configuration; else all of them
  -doc FILE      rules and roles as a policy document, instead of those in the database; - is standard input
  -kind KIND     what the token is presented as: id_token (default), jwt, access_token
  -token FILE    read the token from a file; else from standard input
  -claims FILE   the claims of a token, as JSON, instead of a token; - is standard input
  -issuer ISS    whose claims these are; else their iss

exit code: 0 done, or allowed; 3 refused, or a rule is in error; 1 it could not be done; 2 mistake in the command line
`

// Exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
)

// errUsage is a mistake in the command line.
var errUsage = errors.New("mistake in the command line")

// terminal is the world around a command.
type terminal struct {
	in            io.Reader
	out, problems io.Writer
	now           func() time.Time
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr, time.Now})
	stop()
	os.Exit(code)
}

// run is main without the process around it.
func run(ctx context.Context, args []string, t terminal) int {
	commands := map[string]func(context.Context, []string, terminal) (int, error){"install": install, "lint": lint, "explain": explain}
	switch {
	case len(args) == 0:
		_, _ = io.WriteString(t.problems, usage)
		return exitUsage
	case slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]):
		_, _ = io.WriteString(t.out, usage)
		return exitDone
	case commands[args[0]] == nil:
		_, _ = fmt.Fprintf(t.problems, "dbsts: %v: there is no command %s\n\n%s", errUsage, named(args[0]), usage)
		return exitUsage
	}
	code, err := commands[args[0]](ctx, args[1:], t)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(t.out, usage)
		return exitDone
	case errors.Is(err, errUsage):
		_, _ = fmt.Fprintf(t.problems, "dbsts %s: %v\n\n%s", args[0], err, usage)
		return exitUsage
	case err != nil:
		complain(t.problems, err)
		return exitFailed
	}
	return code
}

// flagSet is the flags of one command. It prints nothing itself.
func flagSet(name string) (flags *flag.FlagSet, config *string) {
	flags = flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags, flags.String("config", "", "")
}

func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errUsage, err)
	case flags.NArg() > 0:
		return fmt.Errorf("%w: unexpected %s", errUsage, named(flags.Arg(0)))
	}
	return nil
}

// named quotes a word of the command line. What may be a token or a password, because of its length or its dots, is not repeated.
func named(word string) string {
	const longest = 20 // characters; no command or flag is longer
	if len(word) > longest || strings.Count(word, ".") > 1 {
		return fmt.Sprintf("word of %d characters", len(word))
	}
	return strconv.Quote(word)
}

func configPath(given string) string {
	for _, path := range []string{given, os.Getenv("DBSTS_CONFIG")} {
		if path != "" {
			return path
		}
	}
	return "dbsts.yaml"
}

// printJSON writes a value for programs. What a terminal would act upon stands there as an escape.
func printJSON(out io.Writer, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	var plain strings.Builder
	for _, r := range text.String() {
		if r == '\n' || unicode.IsPrint(r) {
			plain.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&plain, `\u%04x`, unit)
		}
	}
	if _, err := io.WriteString(out, plain.String()); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}
