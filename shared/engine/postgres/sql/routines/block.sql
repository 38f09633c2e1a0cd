-- block makes new logins impossible. It commits before anything is killed: a login that could still come in would come in.
-- Takes {"server", "ids"}. Answers {"outcome": "done"}, or {"outcome": "stuck"} when the row of a login is locked by
-- somebody (the login's own idle transaction, for one): then none is blocked, and a single id has been stripped instead,
-- so that the kill which follows leaves nothing that could act.
CREATE OR REPLACE FUNCTION dbsts.block(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    ids constant text[] := ARRAY(SELECT jsonb_array_elements_text(doc->'ids'));
BEGIN
    PERFORM dbsts.placed(doc);
    IF dbsts.block_logins(ids) THEN
        RETURN jsonb_build_object('outcome', 'done');
    END IF;
    IF cardinality(ids) = 1 THEN
        PERFORM dbsts.strip_login(ids[1]);
    END IF;
    RETURN jsonb_build_object('outcome', 'stuck');
END
$$;
REVOKE ALL ON FUNCTION dbsts.block(jsonb) FROM PUBLIC;

-- block_logins blocks all or none of them; false: a row was locked for a second.
CREATE OR REPLACE FUNCTION dbsts.block_logins(ids text[]) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    g dbsts.grants;
BEGIN
    FOR g IN
        SELECT d.* FROM dbsts.grants d JOIN pg_roles r ON r.oid = d.role_oid
        WHERE d.id = ANY (ids) AND d.state IN ('revoking', 'quarantined') AND r.rolname = d.login
          AND (r.rolcanlogin OR r.rolvaliduntil IS DISTINCT FROM '-infinity') ORDER BY d.id
    LOOP
        PERFORM dbsts.as_creator(g.creator, 'block', g.login);
        PERFORM dbsts.record('block', 'done', g, g.cause);
    END LOOP;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION dbsts.block_logins(text[]) FROM PUBLIC;

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
EXCEPTION WHEN lock_not_available THEN
    NULL;  -- the next attempt will
END
$$;
REVOKE ALL ON FUNCTION dbsts.strip_login(text) FROM PUBLIC;
