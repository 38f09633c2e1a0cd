-- What happens when people change rules and catalogue. Run as dbsts_owner.
--
-- Each change is checked when it is written, gets a new version and goes to the audit trail whole. The version of the
-- policy is raised when the transaction commits, not before: a person who leaves a transaction open delays nobody.

CREATE OR REPLACE FUNCTION dbsts.check_role() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    flaw    text;
    place   dbsts.targets;
    modern  constant boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    NEW.role_oid := coalesce((SELECT oid FROM pg_roles WHERE rolname = NEW.role), CASE WHEN TG_OP = 'UPDATE' AND NOT NEW.enabled THEN OLD.role_oid END);
    IF NEW.role_oid IS NULL THEN
        RAISE EXCEPTION 'role % does not exist', quote_ident(NEW.role) USING ERRCODE = 'undefined_object', HINT = format('CREATE ROLE %I NOLOGIN;', NEW.role);
    END IF;
    IF NEW.role ~ '\s' THEN
        RAISE EXCEPTION 'role % has white space in its name, which callers could not ask for', quote_ident(NEW.role) USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO place FROM dbsts.targets WHERE name = NEW.target;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'target % does not exist', NEW.target USING ERRCODE = 'foreign_key_violation',
            HINT = 'Targets come from the configuration: add it there and run dbsts install.';
    END IF;
    flaw := dbsts.role_flaw(NEW.role_oid, NEW.activation);
    IF NOT NEW.enabled THEN
        NULL;  -- whatever became of the role, it may be switched off
    ELSIF flaw IS NOT NULL THEN
        RAISE EXCEPTION 'role % must not be handed out: it %', quote_ident(NEW.role), flaw USING ERRCODE = 'DS012',
            HINT = 'Neither the role nor any role it is a member of may log in, hold an attribute, administer a role, own a database or reach a system role.';
    ELSIF NOT has_database_privilege(NEW.role_oid, place.database_oid, 'CONNECT') THEN
        RAISE EXCEPTION 'role % may not connect to database %', quote_ident(NEW.role), quote_ident(place.database) USING ERRCODE = 'DS012',
            HINT = format('GRANT CONNECT ON DATABASE %I TO %I;', place.database, NEW.role);
    ELSIF modern AND NOT dbsts.capable(NEW.role_oid) THEN
        RAISE EXCEPTION 'dbsts may not hand out role %', quote_ident(NEW.role) USING ERRCODE = 'DS012',
            HINT = format('GRANT %I TO dbsts_caps WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;', NEW.role);
    END IF;
    IF NOT modern AND NEW.activation = 'set' THEN
        PERFORM dbsts.as_creator(0, 'bridge', 'dbsts_set_' || NEW.role_oid, jsonb_build_object('role', NEW.role,
            'marker', 'dbsts:' || (SELECT installation FROM dbsts.home) || ':dbsts_set_' || NEW.role_oid));
    END IF;
    NEW.version := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE OLD.version + 1 END;
    NEW.changed_by := session_user;
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION dbsts.check_role() FROM PUBLIC;

-- capable: since PostgreSQL 16, dbsts_caps must administer the role, without inheriting it or being able to become it.
CREATE OR REPLACE FUNCTION dbsts.capable(role_oid oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    yes boolean;
BEGIN
    EXECUTE 'SELECT coalesce(bool_or(admin_option), false) AND NOT coalesce(bool_or(inherit_option OR set_option), false)
             FROM pg_auth_members WHERE roleid = $1 AND member = ''dbsts_caps''::regrole' INTO yes USING role_oid;
    RETURN yes;
END
$$;
REVOKE ALL ON FUNCTION dbsts.capable(oid) FROM PUBLIC;

CREATE OR REPLACE FUNCTION dbsts.check_rule() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    condition jsonb;
    missing   text;
    here      boolean;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'a rule keeps its id' USING ERRCODE = 'check_violation';
    END IF;
    SELECT database_oid = (SELECT oid FROM pg_database WHERE datname = current_database()) INTO here FROM dbsts.targets WHERE name = NEW.target;
    IF NEW.expose <> '{}' AND here IS NOT TRUE THEN
        RAISE EXCEPTION 'claims can be exposed to targets in the home database only' USING ERRCODE = 'check_violation';
    END IF;
    IF jsonb_typeof(NEW.match) <> 'array' OR NEW.match = '[]' THEN
        RAISE EXCEPTION 'match must be a list of at least one condition' USING ERRCODE = 'check_violation',
            HINT = 'match = ''[{"claim": "groups", "op": "has", "value": "analysts"}]''';
    END IF;
    FOR condition IN SELECT jsonb_array_elements(NEW.match) LOOP
        IF jsonb_typeof(condition) <> 'object' OR jsonb_typeof(condition->'claim') IS DISTINCT FROM 'string'
           OR coalesce(condition->>'op', '') <> ALL ('{eq,in,not_in,has,has_any,has_all,glob,re,lt,le,gt,ge,present}') THEN
            RAISE EXCEPTION 'condition % is not {"claim", "op", "value"} with a known op', condition USING ERRCODE = 'check_violation',
                HINT = 'ops: eq in not_in has has_any has_all glob re lt le gt ge present';
        END IF;
    END LOOP;
    SELECT string_agg(quote_ident(r), ', ') INTO missing FROM unnest(NEW.roles || coalesce(NEW.default_roles, '{}')) r
    WHERE NOT EXISTS (SELECT FROM dbsts.roles c WHERE c.target = NEW.target AND c.role = r);
    IF missing IS NOT NULL AND NEW.enabled THEN
        RAISE EXCEPTION 'not in the catalogue of target %: %', NEW.target, missing USING ERRCODE = 'foreign_key_violation',
            HINT = 'INSERT INTO dbsts.roles (target, role) VALUES (…);';
    ELSIF NEW.effect = 'allow' AND NEW.roles = '{}' THEN
        RAISE EXCEPTION 'a rule that allows must give a role' USING ERRCODE = 'check_violation';
    ELSIF NOT coalesce(NEW.default_roles <@ NEW.roles, true) THEN
        RAISE EXCEPTION 'default_roles must be among roles' USING ERRCODE = 'check_violation';
    ELSIF NEW.identity IN ('email', '/email', 'upn', '/upn', 'preferred_username', '/preferred_username', 'unique_name', '/unique_name') THEN
        RAISE EXCEPTION 'claim % can change hands and identifies nobody', NEW.identity USING ERRCODE = 'check_violation', HINT = 'Use sub, oid or another stable id.';
    END IF;
    NEW.version := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE OLD.version + 1 END;
    NEW.changed_by := session_user;
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION dbsts.check_rule() FROM PUBLIC;

-- trail writes the changed row to the audit trail.
CREATE OR REPLACE FUNCTION dbsts.trail() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    row_ constant jsonb := CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
BEGIN
    INSERT INTO dbsts.audit (event, outcome, issuer, target, reason, detail)
    VALUES (rtrim(TG_TABLE_NAME, 's'), 'done', row_->>'issuer', row_->>'target', lower(TG_OP), row_);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION dbsts.trail() FROM PUBLIC;

-- raise_version runs at commit, behind the gate: no mint in flight has decided on the old policy and commits after us.
-- The row first, the gate second: whoever waits for another change of policy must not make mints wait with him.
CREATE OR REPLACE FUNCTION dbsts.raise_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE dbsts.policy SET version = version + 1, changed_by = session_user, changed_at = clock_timestamp(), changed_in = pg_current_xact_id()
    WHERE changed_in IS DISTINCT FROM pg_current_xact_id();
    PERFORM dbsts.lock_gate();
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION dbsts.raise_version() FROM PUBLIC;

-- shut_gate does the same for epochs: once one is committed, no mint that did not see it is still to come.
CREATE OR REPLACE FUNCTION dbsts.shut_gate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM dbsts.lock_gate();
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION dbsts.shut_gate() FROM PUBLIC;

-- lock_gate waits two seconds for mints in flight; whoever holds the gate longer than that is ended.
CREATE OR REPLACE FUNCTION dbsts.lock_gate() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE dbsts.gate IN ACCESS EXCLUSIVE MODE;
EXCEPTION WHEN lock_not_available THEN
    PERFORM dbsts.clear_gate('dbsts.gate'::regclass);
    LOCK TABLE dbsts.gate IN ACCESS EXCLUSIVE MODE;
END
$$;
REVOKE ALL ON FUNCTION dbsts.lock_gate() FROM PUBLIC;

DO $triggers$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['rules', 'roles', 'policy'] LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS trail ON dbsts.%I', t);
        EXECUTE format('DROP TRIGGER IF EXISTS raise_version ON dbsts.%I', t);
        EXECUTE format('CREATE TRIGGER trail AFTER INSERT OR UPDATE OR DELETE ON dbsts.%I FOR EACH ROW %s EXECUTE FUNCTION dbsts.trail()',
                       t, CASE t WHEN 'policy' THEN 'WHEN (pg_trigger_depth() = 0)' ELSE '' END);
        EXECUTE format('CREATE CONSTRAINT TRIGGER raise_version AFTER INSERT OR UPDATE OR DELETE ON dbsts.%I
                        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dbsts.raise_version()', t);
    END LOOP;
    DROP TRIGGER IF EXISTS check_role ON dbsts.roles;
    DROP TRIGGER IF EXISTS check_rule ON dbsts.rules;
    DROP TRIGGER IF EXISTS shut_gate ON dbsts.epochs;
    CREATE CONSTRAINT TRIGGER shut_gate AFTER INSERT OR UPDATE ON dbsts.epochs
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dbsts.shut_gate();
    CREATE TRIGGER check_role BEFORE INSERT OR UPDATE ON dbsts.roles FOR EACH ROW EXECUTE FUNCTION dbsts.check_role();
    CREATE TRIGGER check_rule BEFORE INSERT OR UPDATE ON dbsts.rules FOR EACH ROW EXECUTE FUNCTION dbsts.check_rule();
END
$triggers$;
