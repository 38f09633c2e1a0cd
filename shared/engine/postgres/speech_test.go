package postgres_test

import "dbsts/shared/engine/enginetest"

// become stands for SET ROLE to the role of the case.
const become = "%s"

// forgeries try to change what dbsts_api.claim answers. Most of them fail; all are harmless.
var forgeries = []string{
	become,
	"SET SESSION AUTHORIZATION postgres",
	"SET dbsts.tenant = 'globex'",
	"SET row_security = off",
	"CREATE TEMP TABLE own_claims AS SELECT 'tenant' AS name, 'globex' AS value",
	"CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '-infinity'::timestamptz $$",
	"CREATE FUNCTION pg_temp.claim(text) RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$",
	"CREATE FUNCTION pg_temp.always(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$",
	"CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.always)",
	"SET search_path = pg_temp, pg_catalog",
	"SET search_path = shop, public, pg_temp",
	"UPDATE dbsts_api.claims SET value = 'globex'",
	"INSERT INTO dbsts_api.own_claims VALUES ('tenant', 'globex')",
	"CREATE OR REPLACE FUNCTION dbsts_api.claim(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$",
	"CREATE SCHEMA mine CREATE TABLE claims (x int)",
	"ALTER FUNCTION dbsts_api.claim(text) SECURITY INVOKER",
	"ALTER ROLE CURRENT_USER SET search_path = pg_temp",
	"SET ROLE NONE",
	"SET standard_conforming_strings = off",
	"DISCARD ALL",
}

// occupations are the ways in which a session may be busy when it is to be ended.
var occupations = []enginetest.Occupation{
	{Name: "idle", Activation: "inherit"},
	{Name: "idle in a transaction", Activation: "inherit", Begin: []string{"BEGIN", "SELECT count(*) FROM shop.customers"}},
	{Name: "idle in a failed transaction", Activation: "inherit", Begin: []string{"BEGIN", "SELECT 1 / 0"}},
	{
		Name: "idle in REPEATABLE READ, as its role", Activation: "set",
		Begin: []string{become, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM shop.customers"},
	},
	{Name: "idle as its role", Activation: "set", Begin: []string{become}},
	{Name: "asleep", Activation: "inherit", Last: "SELECT pg_sleep(600)"},
	{Name: "in a long query", Activation: "inherit", Last: "SELECT count(*) FROM generate_series(1, 1e12::bigint)"},
	{
		Name: "in a loop of queries", Activation: "set", Begin: []string{become},
		Last: "DO $$ BEGIN LOOP PERFORM count(*) FROM shop.customers; END LOOP; END $$",
	},
	{
		Name: "in a loop that catches every error", Activation: "inherit",
		Last: "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN OTHERS OR query_canceled THEN NULL; END; END LOOP; END $$",
	},
	{Name: "with its own row locked", Activation: "inherit", Begin: []string{"BEGIN", "COMMENT ON LARGE OBJECT 0 IS 'x'"}},
	{Name: "waiting for a lock", Activation: "inherit", Begin: []string{"SELECT pg_advisory_lock(1)"}, Last: "SELECT pg_sleep(600)"},
}
