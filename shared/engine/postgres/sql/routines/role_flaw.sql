-- role_flaw says why a role must not be handed out, or null. Asked when a role enters the catalogue and again at each
-- mint, because roles change behind our back. Run as dbsts_owner; nobody else may execute it.
--
-- A role handed out for minutes must not let its holder outlive them: so neither it nor any role it reaches may log in,
-- carry an attribute, administer another role, own a database, or touch dbsts itself.
CREATE OR REPLACE FUNCTION dbsts.role_flaw(candidate oid, activation text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    reach oid[];
    flaw  text;
BEGIN
    -- OFFSET 0 keeps this a look-up by member: a plan made with few logins would join with the memberships of all.
    WITH RECURSIVE r(oid) AS (
        SELECT candidate
        UNION
        SELECT m.roleid FROM r CROSS JOIN LATERAL (SELECT roleid FROM pg_auth_members WHERE member = r.oid OFFSET 0) m
    ) SELECT array_agg(r.oid) INTO reach FROM r;

    SELECT CASE
        WHEN bool_or(rolsuper)      THEN 'is a superuser'
        WHEN bool_or(rolcanlogin)   THEN 'can log in'
        WHEN bool_or(rolcreaterole) THEN 'has CREATEROLE'
        WHEN bool_or(rolcreatedb)   THEN 'has CREATEDB'
        WHEN bool_or(rolreplication) THEN 'has REPLICATION'
        WHEN bool_or(rolbypassrls)  THEN 'has BYPASSRLS'
        WHEN bool_or(rolname ~ '^(pg_|rds_|rdsadmin$|dbsts_)' AND rolname <> ALL ((SELECT system_roles FROM dbsts.policy)::text[])
                     OR rolname ~ '^dbsts_')
                                    THEN 'reaches a system role'
    END INTO flaw FROM pg_roles WHERE oid = ANY (reach);
    IF flaw IS NOT NULL THEN RETURN flaw; END IF;

    IF EXISTS (SELECT FROM pg_auth_members WHERE member = ANY (reach) AND admin_option) THEN
        RETURN 'has ADMIN OPTION on a role';
    ELSIF EXISTS (SELECT FROM pg_database WHERE datdba = ANY (reach)) THEN
        RETURN 'owns a database';
    ELSIF EXISTS (SELECT FROM unnest(reach) o WHERE has_schema_privilege(o, 'dbsts', 'USAGE, CREATE')) THEN
        RETURN 'has rights on schema dbsts';
    END IF;

    IF current_setting('server_version_num')::int >= 150000 THEN
        EXECUTE 'SELECT ''has rights on a server parameter'' FROM pg_parameter_acl p, aclexplode(p.paracl) a WHERE a.grantee = ANY ($1) LIMIT 1'
            INTO flaw USING reach;
        IF flaw IS NOT NULL THEN RETURN flaw; END IF;
    END IF;

    IF activation = 'inherit' AND (
           has_database_privilege(candidate, current_database(), 'CREATE')
        OR EXISTS (SELECT FROM pg_namespace n WHERE n.nspname !~ '^pg_(temp|toast)' AND has_schema_privilege(candidate, n.oid, 'CREATE'))) THEN
        RETURN 'may create objects, so its activation must be set';
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION dbsts.role_flaw(oid, text) FROM PUBLIC;
