package postgres_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bending are settings that any caller may make, each with its alternatives. Under none of them does a routine answer, or
// do, anything else than without.
var bending = [][]string{
	{"SET TimeZone = 'Pacific/Kiritimati'", "SET TimeZone = '-12'"},
	{"SET DateStyle = 'SQL, DMY'", "SET DateStyle = 'German'", "SET DateStyle = 'Postgres, MDY'"},
	{"SET IntervalStyle = 'sql_standard'", "SET IntervalStyle = 'iso_8601'"},
	{
		"SET search_path = evil, pg_catalog", "SET search_path = pg_temp, evil, dbsts, pg_catalog", "SET search_path = ''",
		"CREATE TEMP TABLE pg_roles AS SELECT 1 AS oid, 'x'::name AS rolname; CREATE TEMP TABLE grants (id text)",
		"CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '2037-01-01'::timestamptz $$; SET search_path = pg_temp, pg_catalog",
	},
	{"SET standard_conforming_strings = off; SET escape_string_warning = off", "SET backslash_quote = on", "SET quote_all_identifiers = on"},
	{"SET client_encoding = 'SQL_ASCII'"}, // another one only writes the same answer in other bytes
	{"SET plan_cache_mode = force_generic_plan", "SET plan_cache_mode = force_custom_plan"},
	{
		"SET enable_seqscan = off; SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_nestloop = off",
		"SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 4",
		"SET from_collapse_limit = 1; SET join_collapse_limit = 1; SET geqo_threshold = 2; SET jit = on; SET jit_above_cost = 0",
	},
	{"SET lc_time = 'C'; SET lc_numeric = 'C'; SET lc_monetary = 'C'", "SET xmloption = 'document'", "SET bytea_output = 'escape'; SET extra_float_digits = -15"},
	{"SET transform_null_equals = on", "SET array_nulls = off", "SET row_security = off", "SET constraint_exclusion = on"},
	{"SET password_encryption = 'md5'", "SET check_function_bodies = off", "SET synchronous_commit = off", "SET default_transaction_deferrable = on"},
	{"SET lock_timeout = '1ms'", "SET statement_timeout = '1h'", "SET exit_on_error = on", "SET work_mem = '64kB'", "SET cursor_tuple_fraction = 0"},
	{"SET plpgsql.extra_errors = 'all'; SET plpgsql.extra_warnings = 'all'", "SET plpgsql.check_asserts = off; SET plpgsql.print_strict_params = on"},
	{"SET client_min_messages = debug5", "SET application_name = 'dbsts:x'; SET dbsts.installation = 'x'", "SET gin_fuzzy_search_limit = 1"},
}

// bendingModern are those that came with PostgreSQL 16.
var bendingModern = [][]string{{"SET createrole_self_grant = 'set, inherit'"}, {"SET debug_parallel_query = on"}, {"SET scram_iterations = 1"}}

// bent are the settings of the lives to be lived: with all of DBSTS_TEST one by one, else as many at once as go together.
func (s *server) bent() []string {
	settings := bending
	if s.modern() {
		settings = slices.Concat(bending, bendingModern)
	}
	var lives []string
	if os.Getenv("DBSTS_TEST") == "all" {
		return append(slices.Concat(settings...), "SELECT 1")
	}
	most := len(slices.MaxFunc(settings, func(a, b []string) int { return len(a) - len(b) }))
	for n := range most {
		var together []string
		for _, alternatives := range settings {
			together = append(together, alternatives[n%len(alternatives)])
		}
		slices.Reverse(together) // what changes the search path comes after what needs it
		lives = append(lives, strings.Join(together, "; "))
	}
	return lives
}

// refusing are settings under which every routine may refuse, but must not do half of its work.
var refusing = []string{"SET default_transaction_read_only = on", "SET default_transaction_isolation = 'serializable'"}

// evil has functions and operators that a careless search_path would find before those of the system.
const evil = `
	CREATE SCHEMA IF NOT EXISTS evil; GRANT USAGE ON SCHEMA evil TO PUBLIC; GRANT TEMPORARY ON DATABASE shop TO dbsts_exchange, dbsts_revoke, dbsts_sweep;
	CREATE OR REPLACE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '2037-01-01'::timestamptz $$;
	CREATE OR REPLACE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
	CREATE OR REPLACE FUNCTION evil.current_database() RETURNS name LANGUAGE sql AS $$ SELECT 'x'::name $$;
	CREATE OR REPLACE FUNCTION evil.hashtext(text) RETURNS int LANGUAGE sql AS $$ SELECT 99 $$;
	CREATE OR REPLACE FUNCTION evil.to_regrole(text) RETURNS regrole LANGUAGE sql AS $$ SELECT 10::oid::regrole $$;
	CREATE OR REPLACE FUNCTION evil.pg_terminate_backend(int) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
	CREATE OR REPLACE FUNCTION evil.cardinality(name[]) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
	CREATE OR REPLACE FUNCTION evil.make_interval(int, int, int, int, int, int, double precision) RETURNS interval LANGUAGE sql AS $$ SELECT interval '9 years' $$;
	CREATE OR REPLACE FUNCTION evil.yes(name, name) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
	DO $$ BEGIN CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.yes); EXCEPTION WHEN duplicate_function THEN END $$;
	CREATE OR REPLACE VIEW evil.pg_roles AS SELECT 10::oid AS oid, 'x'::name AS rolname, false AS rolcanlogin, null::timestamptz AS rolvaliduntil;
	CREATE OR REPLACE VIEW evil.pg_prepared_xacts AS SELECT 'x'::name AS owner WHERE false`

func TestNoSettingOfTheCallerBendsARoutine(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.must(t, evil)
		defer s.must(t, "REVOKE TEMPORARY ON DATABASE shop FROM dbsts_exchange, dbsts_revoke, dbsts_sweep")
		for _, setting := range s.bent() {
			if diff := cmp.Diff(rightLife, s.life(t, setting)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", setting, diff)
			}
		}
		idle := []string{"policy", "block", "kill"} // change nothing when they are asked for nothing
		for _, setting := range refusing {
			before := one[int](t, s, "SELECT count(*) FROM dbsts.grants")
			for login, names := range routines {
				thief := s.steal(t, login, setting)
				for _, name := range names {
					doc := document(t, s.wish(t, "app_read"))
					if _, err := thief.call(t.Context(), name, doc); err == nil && !slices.Contains(idle, name) {
						t.Errorf("%s: %s was served", setting, name)
					}
				}
			}
			if n := one[int](t, s, "SELECT count(*) FROM dbsts.grants"); n != before {
				t.Errorf("%s: %d grants were made", setting, n-before)
			}
		}
	})
}
