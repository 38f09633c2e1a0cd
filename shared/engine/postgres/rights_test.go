package postgres_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"dbsts/tests/shop"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata")

// Who may do what stands in testdata, for people to read: a change of a right is a change of those files.
func TestRightsAreThoseOnFile(t *testing.T) {
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) { // in turn, for the sake of -update
			s := shared(t, version)
			golden(t, "rights.golden", once(t, s, s.lines(t, "rights.sql")))
			golden(t, "routines.golden", once(t, s, s.lines(t, "routines.sql")))
			generation := "members_15.golden"
			if s.modern() {
				generation = "members_16.golden"
			}
			golden(t, generation, once(t, s, s.lines(t, "members.sql")))
		})
	}
}

// Every routine that runs with its owner's rights has every setting pinned, and on 16+ createrole_self_grant too.
func TestDefinersHavePinnedSettings(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		pinned := []string{
			`search_path=pg_catalog, pg_temp`, "TimeZone=UTC", "DateStyle=ISO, YMD", "IntervalStyle=postgres", "standard_conforming_strings=on",
			"password_encryption=scram-sha-256", "transform_null_equals=off", "array_nulls=on", "row_security=on", "lock_timeout=",
		}
		if s.modern() {
			pinned = append(pinned, `createrole_self_grant=`)
		}
		rows, err := s.admin.Query(t.Context(), `
			SELECT oid::regprocedure::text, coalesce(proconfig, '{}') FROM pg_proc
			WHERE pronamespace::regnamespace::text ~ '^dbsts' AND prosecdef`)
		if err != nil {
			t.Fatal(err)
		}
		definers := 0
		var name string
		var config []string
		_, err = pgx.ForEachRow(rows, []any{&name, &config}, func() error {
			definers++
			for _, setting := range pinned {
				if !slices.ContainsFunc(config, func(c string) bool { return strings.HasPrefix(c, setting) }) {
					t.Errorf("%s runs without %s: %v", name, setting, config)
				}
			}
			return nil
		})
		if err != nil || definers < 15 {
			t.Errorf("%d definers, %v", definers, err)
		}
	})
}

// lines runs a query of testdata, made of one column.
func (s *server) lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	results, err := s.Admin(t).PgConn().Exec(t.Context(), string(text)).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var lines []string
	for _, row := range results[len(results)-1].Rows {
		lines = append(lines, string(row[0]))
	}
	return lines
}

var creator = regexp.MustCompile(`_(\d\d)\b`)

// once writes the lines that stand for each creator once, with NN for its number; a creator that has less, or more, than
// the others shows. Database OIDs become names.
func once(t *testing.T, s *server, lines []string) []string {
	t.Helper()
	creators := map[bool]int{true: 64, false: 1}[s.modern()]
	count := map[string]int{}
	var order []string
	var replace []string
	for _, database := range []string{shop.Database, shop.Archive} {
		replace = append(replace, "dbsts_connect_"+one[string](t, s, "SELECT oid::text FROM pg_database WHERE datname = $1", database), "dbsts_connect_"+database)
	}
	replace = append(replace, "dbsts_set_"+one[string](t, s, "SELECT 'app_owner'::regrole::oid::text"), "dbsts_set_app_owner")
	for _, line := range lines {
		line = strings.NewReplacer(replace...).Replace(line)
		if strings.Contains(line, "dbsts_set_1") || strings.Contains(line, "dbsts_set_2") {
			continue // of roles that other tests made
		}
		numbers := creator.FindAllStringSubmatch(line, -1)
		if len(numbers) > 0 {
			line = strings.ReplaceAll(line, "_"+numbers[0][1], "_NN")
		}
		if count[line] == 0 {
			order = append(order, line)
		}
		count[line]++
	}
	for n, line := range order {
		if strings.Contains(line, "_NN") && count[line] != creators && !strings.HasPrefix(line, "settings of") {
			order[n] += " — NOT FOR EACH CREATOR"
		}
	}
	slices.Sort(order)
	return order
}

func golden(t *testing.T, file string, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got; go test -update accepts it):\n%s", file, diff)
	}
}
