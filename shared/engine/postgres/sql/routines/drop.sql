-- drop removes logins that are blocked and proven to have no session. All of the ids, or none: an error names the reason.
-- Takes {"server", "ids"}. Answers {"outcome": "done"}, or {"outcome": "stuck", "cause"} as dbsts.block does.
-- Errors: DS004 a prepared transaction names the login; DS005 it has a session, or is not blocked; 2BP01 it owns objects.
CREATE OR REPLACE FUNCTION dbsts.drop(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    ids   constant text[] := ARRAY(SELECT jsonb_array_elements_text(doc->'ids'));
    look  jsonb;
    cause text;
BEGIN
    PERFORM dbsts.placed(doc);
    PERFORM FROM dbsts.grants WHERE id = ANY (ids) ORDER BY id FOR UPDATE;
    IF EXISTS (SELECT FROM pg_prepared_xacts x JOIN dbsts.grants d ON d.login = x.owner WHERE d.id = ANY (ids)) THEN
        RAISE EXCEPTION 'dbsts: a prepared transaction belongs to the login' USING ERRCODE = 'DS004';
    END IF;
    -- A look ends what it sees, so it is for grants that are due.
    look := dbsts.look(ARRAY(SELECT role_oid FROM dbsts.grants WHERE id = ANY (ids) AND state IN ('revoking', 'quarantined')), NULL);
    IF (look->>'sessions')::int > 0 OR EXISTS (
           SELECT FROM dbsts.grants d JOIN pg_roles r ON r.oid = d.role_oid WHERE d.id = ANY (ids) AND r.rolcanlogin) THEN
        RAISE EXCEPTION 'dbsts: the login is not proven to be ended' USING ERRCODE = 'DS005';
    END IF;
    cause := dbsts.drop_logins(ids);
    IF cause IS NOT NULL THEN
        RETURN jsonb_build_object('outcome', 'stuck', 'cause', cause);
    END IF;
    UPDATE dbsts.grants SET state = 'revoked', ended_at = clock_timestamp(), leased_until = NULL, next_attempt_at = NULL, last_error = NULL
    WHERE id = ANY (ids) AND state IN ('revoking', 'quarantined');
    DELETE FROM dbsts_api.claims c USING dbsts.grants d WHERE d.id = ANY (ids) AND c.login = d.login;
    RETURN jsonb_build_object('outcome', 'done');
END
$$;
REVOKE ALL ON FUNCTION dbsts.drop(jsonb) FROM PUBLIC;

-- drop_logins drops all or none of them, and says what stands in the way, or null. Anybody who owns a table can hold the
-- lock: an open GRANT … TO the login is enough.
CREATE OR REPLACE FUNCTION dbsts.drop_logins(ids text[]) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    g       dbsts.grants;
    dropped text[];
BEGIN
    FOR g IN SELECT * FROM dbsts.grants WHERE id = ANY (ids) AND state IN ('revoking', 'quarantined') ORDER BY id LOOP
        IF to_regrole(g.login::text) = g.role_oid THEN
            PERFORM dbsts.as_creator(g.creator, 'drop', g.login);
        ELSIF EXISTS (SELECT FROM pg_roles WHERE oid = g.role_oid) THEN
            RETURN 'renamed';  -- not gone: it lives under another name
        END IF;
        dropped := dropped || g.id;
    END LOOP;
    PERFORM dbsts.record_each('drop', dropped, '{"sessions": 0}');
    RETURN NULL;
EXCEPTION
    WHEN lock_not_available THEN RETURN 'locked';
    WHEN insufficient_privilege THEN RETURN 'rights';
END
$$;
REVOKE ALL ON FUNCTION dbsts.drop_logins(text[]) FROM PUBLIC;
