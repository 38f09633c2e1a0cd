-- The right to connect, for logins of activation `set`, which inherit nothing else: one role for each target's database
-- and creator, so that mints of different creators do not wait for each other. Run by the administrator.
-- Settings of the transaction: dbsts.installation, dbsts.targets.
DO $connect$
DECLARE
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
    place  record;
    nn     text;
    role   text;
    made   text;
BEGIN
    FOR place IN
        SELECT d.datname, d.oid FROM jsonb_to_recordset(current_setting('dbsts.targets')::jsonb) AS w (database text)
        JOIN pg_database d ON d.datname = w.database
    LOOP
        made := NULL;
        FOR nn IN SELECT substr(rolname, 15) FROM pg_roles WHERE rolname ~ '^dbsts_creator_[0-9]{2}$' ORDER BY 1 LOOP
            role := format('dbsts_connect_%s_%s', place.oid, nn);
            IF to_regrole(role) IS NULL THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
                EXECUTE format('COMMENT ON ROLE %I IS %L', role, 'dbsts:' || current_setting('dbsts.installation') || ':' || role);
                IF modern THEN
                    EXECUTE format('GRANT %I TO dbsts_creator_%s WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', role, nn);
                END IF;
            END IF;
            made := concat_ws(', ', made, role);
        END LOOP;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %s', place.datname, made);
    END LOOP;
END
$connect$;
