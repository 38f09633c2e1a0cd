-- Owners, creators and groups. Run by the administrator; harmless to repeat.
-- Settings of the transaction: dbsts.installation (uuid), dbsts.creators (how many).
--
--   dbsts_owner       owns schema, tables and most routines. No CREATEROLE, no login.
--   dbsts_audit       owns the audit trail; dbsts_owner may only add rows.
--   dbsts_caps        holds ADMIN on the roles of the catalogue (PostgreSQL 16+). Owns nothing.
--   dbsts_reader      owns dbsts_api.claim().
--   dbsts_signaller   may see and end sessions.
--   dbsts_creator_NN  CREATEROLE; each owns one routine that makes and ends its own logins, and nothing else.
--   dbsts_policy, dbsts_catalogue, dbsts_auditor   groups for people.
DO $roles$
DECLARE
    modern       constant boolean := current_setting('server_version_num')::int >= 160000;
    installation constant text    := current_setting('dbsts.installation');
    owners       constant text[]  := ARRAY['owner', 'audit', 'caps', 'reader', 'signaller', 'policy', 'catalogue', 'auditor'];
    role text;
    kind text;
BEGIN
    FOR role, kind IN
        SELECT 'dbsts_' || o, 'NOLOGIN' FROM unnest(owners) o
        UNION ALL
        SELECT 'dbsts_creator_' || to_char(n, 'FM00'), 'NOLOGIN CREATEROLE'
        FROM generate_series(0, current_setting('dbsts.creators')::int - 1) n
    LOOP
        IF to_regrole(role) IS NULL THEN
            EXECUTE format('CREATE ROLE %I %s', role, kind);
            EXECUTE format('COMMENT ON ROLE %I IS %L', role, 'dbsts:' || installation || ':' || role);
        ELSIF shobj_description(to_regrole(role), 'pg_authid') IS DISTINCT FROM 'dbsts:' || installation || ':' || role THEN
            RAISE EXCEPTION 'role % exists and does not belong to this installation', role
                USING ERRCODE = 'DS010', HINT = 'Another dbsts installation serves this server, or somebody made a role of that name. One server has one installation.';
        END IF;
    END LOOP;

    IF modern THEN
        FOR role IN SELECT rolname FROM pg_roles WHERE rolname ~ '^dbsts_creator_[0-9]{2}$' LOOP
            EXECUTE format('GRANT dbsts_caps TO %I WITH INHERIT TRUE, SET FALSE', role);
        END LOOP;
    END IF;
    GRANT pg_signal_backend, pg_read_all_stats TO dbsts_signaller;
END
$roles$;
