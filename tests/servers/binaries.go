package servers

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// binaries is a folder with initdb and postgres.
type binaries struct {
	dir     string
	version string // "15.18"
}

// versionLine matches "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+\.\d+)`)

// packaged are the places where distributions, and Homebrew, put a major version's programs.
func packaged() []string {
	return []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
	}
}

// folders returns the folders that may hold PostgreSQL's programs: PATH's, pg_config's, the distribution's. Links are
// resolved, as initdb finds its other files from its own place.
func folders(ctx context.Context) []string {
	var candidates, found []string
	if initdb, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, initdb)
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, filepath.Join(strings.TrimSpace(string(out)), "initdb"))
	}
	for _, pattern := range packaged() {
		matches, _ := filepath.Glob(filepath.Join(pattern, "initdb")) // the only error is a bad pattern
		candidates = append(candidates, matches...)
	}
	for _, initdb := range candidates {
		if file, err := filepath.EvalSymlinks(initdb); err == nil && !slices.Contains(found, filepath.Dir(file)) {
			found = append(found, filepath.Dir(file))
		}
	}
	return found
}

// inspect asks the programs for their version, as the account that will run them, which so proves that it may.
func inspect(ctx context.Context, dir string, a account) (binaries, error) {
	out, err := a.command(ctx, "/", filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return binaries{}, fmt.Errorf("run postgres of %s as user %s: %w", dir, a.name, err)
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return binaries{}, fmt.Errorf("postgres of %s is of an unknown version: %q", dir, out)
	}
	return binaries{dir: dir, version: string(match[1])}, nil
}

// findBinaries returns the programs of a major version: installed ones, else npm's. Of no particular version: the newest
// supported, or if npm cannot be reached the newest installed.
func findBinaries(ctx context.Context, c cache, a account, o Options) (binaries, error) {
	wanted := o.Version
	if wanted == "" {
		wanted = strconv.Itoa(Newest)
	}
	var installed []binaries
	for _, dir := range folders(ctx) {
		b, err := inspect(ctx, dir, a)
		if err != nil {
			continue // a folder without a server, or of another's home: npm's do as well
		}
		if majorOf(b.version) == wanted {
			return b, nil
		}
		installed = append(installed, b)
	}
	dir, err := npmBinaries(ctx, c, wanted, o.Log)
	if err == nil {
		return inspect(ctx, dir, a)
	}
	installed = slices.DeleteFunc(installed, func(b binaries) bool { return number(b) < Oldest || number(b) > Newest })
	if o.Version != "" || len(installed) == 0 || errors.Is(err, context.Canceled) {
		return binaries{}, fmt.Errorf("postgresql %s is not installed, and npm did not give it: %w", wanted, err)
	}
	newest := slices.MaxFunc(installed, func(a, b binaries) int { return number(a) - number(b) })
	_, _ = fmt.Fprintf(o.Log, "PostgreSQL %s cannot be had (%v); taking %s\n", wanted, err, newest.version)
	return newest, nil
}

func number(b binaries) int {
	n, _ := strconv.Atoi(majorOf(b.version)) // versionLine let only digits through
	return n
}

// FindPsql returns the path of a psql: PATH's, else the newest of the distribution's; "" where there is none (npm's packages have none).
func FindPsql() string {
	if path, err := exec.LookPath("psql"); err == nil {
		return path
	}
	for _, pattern := range append(packaged(), "/opt/homebrew/opt/libpq/bin", "/usr/local/opt/libpq/bin") {
		matches, _ := filepath.Glob(filepath.Join(pattern, "psql"))
		if len(matches) > 0 {
			return slices.Max(matches)
		}
	}
	return ""
}
