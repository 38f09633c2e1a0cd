-- block makes new logins impossible. It commits before anything is killed: a login that could still come in would come in.
-- Takes {"server", "ids"}. Answers {"outcome": "done"}, or {"outcome": "stuck", "cause"} when a login cannot be blocked:
-- then none is, their sessions are told to end, and a single id has been stripped, so that nothing is left that could act.
-- Causes: "locked", its row is locked by somebody (its own idle transaction, for one); "rights", its creator is not ours;
-- "renamed", its name is another role's now; "foreign", the ledger points to a role that does not carry our marker.
CREATE OR REPLACE FUNCTION dbsts.block(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    ids   constant text[] := ARRAY(SELECT jsonb_array_elements_text(doc->'ids'));
    cause text;
BEGIN
    PERFORM dbsts.placed(doc);
    cause := dbsts.block_logins(ids);
    IF cause IS NULL THEN
        RETURN jsonb_build_object('outcome', 'done');
    END IF;
    PERFORM dbsts.kill_sessions(ids, NULL);  -- such a lock dies with its session, so that the next attempt need not wait for it
    IF cardinality(ids) = 1 THEN
        PERFORM dbsts.strip_login(ids[1]);
    END IF;
    RETURN jsonb_build_object('outcome', 'stuck', 'cause', cause);
END
$$;
REVOKE ALL ON FUNCTION dbsts.block(jsonb) FROM PUBLIC;

-- block_logins blocks all or none of them, and says what stands in the way, or null. A login that nobody of ours may alter
-- (made by hand, or by a dump from before PostgreSQL 16) must not keep the others from being ended.
CREATE OR REPLACE FUNCTION dbsts.block_logins(ids text[]) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    g       dbsts.grants;
    blocked text[];
BEGIN
    IF NOT dbsts.restore_names(ids) THEN RETURN 'foreign'; END IF;
    FOR g IN
        SELECT d.* FROM dbsts.grants d JOIN pg_roles r ON r.oid = d.role_oid
        WHERE d.id = ANY (ids) AND d.state IN ('revoking', 'quarantined') AND r.rolname = d.login
          AND (r.rolcanlogin OR r.rolvaliduntil IS DISTINCT FROM '-infinity') ORDER BY d.id
    LOOP
        PERFORM dbsts.as_creator(g.creator, 'block', g.login);
        blocked := blocked || g.id;
    END LOOP;
    PERFORM dbsts.record_each('block', blocked);
    RETURN NULL;
EXCEPTION
    WHEN lock_not_available THEN RETURN 'locked';
    WHEN insufficient_privilege THEN RETURN 'rights';
    WHEN duplicate_object THEN RETURN 'renamed';
END
$$;
REVOKE ALL ON FUNCTION dbsts.block_logins(text[]) FROM PUBLIC;

-- restore_names gives logins that somebody has renamed the name of their grant again, so that no step after it can pass
-- them over. False: a row of the ledger points to a role without our marker, which we do not touch.
CREATE OR REPLACE FUNCTION dbsts.restore_names(ids text[]) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT d.creator, d.login, a.rolname, shobj_description(a.oid, 'pg_authid') = 'dbsts:' || h.installation || ':' || d.id AS ours
        FROM dbsts.home h CROSS JOIN dbsts.grants d JOIN pg_roles a ON a.oid = d.role_oid
        WHERE d.id = ANY (ids) AND d.state IN ('revoking', 'quarantined') AND a.rolname <> d.login
    LOOP
        IF r.ours IS NOT TRUE THEN RETURN false; END IF;
        PERFORM dbsts.as_creator(r.creator, 'rename', r.login, jsonb_build_object('from', r.rolname));
    END LOOP;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION dbsts.restore_names(text[]) FROM PUBLIC;

-- strip_login takes all memberships from one login, if that can be done now.
CREATE OR REPLACE FUNCTION dbsts.strip_login(grant_id text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    g dbsts.grants;
BEGIN
    SELECT d.* INTO g FROM dbsts.grants d JOIN pg_roles r ON r.oid = d.role_oid
    WHERE d.id = grant_id AND d.state IN ('revoking', 'quarantined') AND r.rolname = d.login;
    IF FOUND THEN
        PERFORM dbsts.as_creator(g.creator, 'strip', g.login);
    END IF;
EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN
    NULL;  -- the next attempt may
END
$$;
REVOKE ALL ON FUNCTION dbsts.strip_login(text) FROM PUBLIC;
