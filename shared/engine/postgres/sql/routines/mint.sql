-- mint makes one login: role, memberships, grant and audit rows commit together, or nothing does.
-- Takes engine.Mint as JSON, with "server", "verifier" and "secret_hash" (hex). Answers one of
--   {"outcome": "minted", "login", "database", "session_role", "roles", "expires_at", "expires_in"}
--   {"outcome": "stale"}                 rules changed since the caller read them: read again, decide again
--   {"outcome": "refused", "reason"}     a ceiling; on record
-- The same id and secret again answers the login that exists, so a caller that lost the answer may ask again.
CREATE OR REPLACE FUNCTION dbsts.mint(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    home      dbsts.home;
    wish      dbsts.grants;
    broken    text;
    outcome_  text;
BEGIN
    home := dbsts.placed(doc);
    LOCK TABLE dbsts.gate IN ACCESS SHARE MODE;  -- from here to commit no policy and no epoch changes

    -- 1. Read the wish. Malformed documents end here.
    wish := dbsts.wish(doc, home.creators);

    -- 2. Made already, and the answer was lost? Asked for by id alone: any more, and another index might look as good.
    IF (SELECT g.secret_hash = wish.secret_hash AND g.state = 'active' FROM dbsts.grants g WHERE g.id = wish.id) THEN
        RETURN dbsts.minted(wish.id);
    END IF;

    -- 3. Decided on the rules of now? Within every ceiling? Not a token spent before?
    IF dbsts.moved(doc) THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
    broken := CASE WHEN wish.database IS NULL THEN 'target_unknown' ELSE dbsts.ceilings(wish) END;
    IF broken IS NULL AND doc->>'replay' = 'reject' THEN
        INSERT INTO dbsts.replays (issuer, token_key, expires_at)
        VALUES (wish.issuer, wish.token_key, to_timestamp((doc->>'token_exp')::bigint) + interval '1 minute')
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN broken := 'replayed'; END IF;
    END IF;
    IF broken IS NOT NULL THEN
        outcome_ := dbsts.refusal(wish.issuer);
        IF outcome_ IS NOT NULL THEN
            PERFORM dbsts.record('mint', outcome_, wish, broken, jsonb_strip_nulls(jsonb_build_object('stated', wish.reason)));
        END IF;
        RETURN jsonb_build_object('outcome', 'refused', 'reason', broken);
    END IF;

    -- 4. Login, ledger, audit; memberships last, because they make other mints of the same role wait until we commit.
    PERFORM dbsts.as_creator(wish.creator, 'create', wish.login, jsonb_build_object(
        'verifier', doc->>'verifier',
        'valid_until', to_char(wish.expires_at, 'YYYY-MM-DD HH24:MI:SS.US+00'),
        'connection_limit', (SELECT min(connection_limit) FROM dbsts.roles WHERE target = wish.target AND role = ANY (wish.roles)),
        'marker', 'dbsts:' || home.installation || ':' || wish.id));
    SELECT oid INTO STRICT wish.role_oid FROM pg_roles WHERE rolname = wish.login AND rolcanlogin AND rolvaliduntil = wish.expires_at;
    INSERT INTO dbsts.grants SELECT wish.*;
    INSERT INTO dbsts_api.claims (login, name, value, expires_at)
        SELECT wish.login, key, CASE jsonb_typeof(value) WHEN 'string' THEN value #>> '{}' ELSE value::text END, wish.expires_at
        FROM jsonb_each(wish.exposed);
    PERFORM dbsts.record('mint', 'done', wish, NULL, jsonb_strip_nulls(jsonb_build_object('stated', wish.reason, 'expires_at', wish.expires_at)));
    PERFORM dbsts.as_creator(wish.creator, 'grant', wish.login, dbsts.memberships(wish));
    IF (SELECT count(*) FROM pg_auth_members WHERE member = wish.role_oid)
       <> cardinality(wish.roles) + (wish.activation = 'set')::int THEN
        RAISE EXCEPTION 'dbsts: a membership was not granted' USING ERRCODE = 'DS011';
    END IF;
    RETURN dbsts.minted(wish.id);
END
$$;
REVOKE ALL ON FUNCTION dbsts.mint(jsonb) FROM PUBLIC;

-- wish reads a mint document into the row that the grant will be. Refuses what is malformed, without quoting it.
CREATE OR REPLACE FUNCTION dbsts.wish(doc jsonb, creators int) RETURNS dbsts.grants
LANGUAGE plpgsql AS $$
DECLARE
    w          dbsts.grants;
    iterations int := substring(doc->>'verifier' FROM '^SCRAM-SHA-256\$([0-9]{4,6}):[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$')::int;
BEGIN
    -- 4,096 is the least that clients accept; more than 100,000 would keep the server busy past any time-out.
    IF iterations IS NULL OR iterations NOT BETWEEN 4096 AND 100000 THEN
        RAISE EXCEPTION 'dbsts: not a SCRAM-SHA-256 verifier' USING ERRCODE = 'DS003';
    END IF;
    w.id := doc->>'grant';
    w.login := 'dbsts_' || w.id;
    w.target := doc->>'target';
    SELECT t.database INTO w.database FROM dbsts.targets t WHERE t.name = w.target AND t.enabled;
    w.mode := 'password';
    w.creator := (hashtext(w.id) & 2147483647) % creators;
    w.state := 'active';
    w.issuer := doc->>'issuer';  w.identity := doc->>'identity';  w.subject := doc->>'subject';  w.sid := doc->>'sid';
    w.token_key := doc->>'token_key';
    w.token_iat := to_timestamp((doc->>'token_iat')::bigint);
    w.secret_hash := decode(doc->>'secret_hash', 'hex');
    w.roles := ARRAY(SELECT DISTINCT jsonb_array_elements_text(doc->'roles')::name ORDER BY 1);
    w.activation := coalesce((SELECT min(activation) FROM dbsts.roles r WHERE r.target = w.target AND r.role = ANY (w.roles)), 'inherit');
    w.rules := coalesce(doc->'rules', '[]');
    w.policy_version := (doc->>'policy_version')::bigint;
    w.claims := coalesce(doc->'claims', '{}');  w.exposed := coalesce(doc->'exposed', '{}');
    w.reason := doc->>'reason';  w.source_ip := doc->>'source_ip';  w.request_id := doc->>'request_id';
    w.issued_at := clock_timestamp();
    w.expires_at := w.issued_at + make_interval(secs => (doc->>'ttl')::int);
    IF (doc->>'end_with_token')::boolean THEN
        w.expires_at := least(w.expires_at, to_timestamp((doc->>'token_exp')::bigint));
    END IF;
    w.attempts := 0;
    w.max_sessions := 0;
    IF w.id IS NULL OR w.id !~ '^[a-z2-7]{26}$' OR octet_length(w.secret_hash) IS DISTINCT FROM 32
       OR w.issuer IS NULL OR coalesce(w.identity, '') = '' OR coalesce(w.subject, '') = '' OR w.token_key IS NULL
       OR w.token_iat IS NULL OR w.expires_at IS NULL OR coalesce(doc->>'replay', '') NOT IN ('allow', 'reject')
       OR octet_length(w.claims::text || w.exposed::text || coalesce(w.reason, '')) > 32768 THEN
        RAISE EXCEPTION 'dbsts: malformed document' USING ERRCODE = 'DS003';
    END IF;
    RETURN w;
END
$$;
REVOKE ALL ON FUNCTION dbsts.wish(jsonb, int) FROM PUBLIC;

-- memberships is what the login of a grant becomes a member of, in the order in which every mint takes them.
-- activation inherit: the roles. activation set: the right to connect, which is inherited, and the role, which is not;
-- before PostgreSQL 16 inheritance belongs to the member, so a role in between (dbsts_set_<oid>, NOINHERIT) stops it.
CREATE OR REPLACE FUNCTION dbsts.memberships(g dbsts.grants) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN g.activation = 'inherit'
        THEN jsonb_build_object('activation', 'inherit', 'roles', to_jsonb(g.roles))
        ELSE jsonb_build_object('activation', 'set',
            'connect', 'dbsts_connect_' || t.database_oid || '_' || to_char(g.creator, 'FM00'),
            'roles', CASE WHEN current_setting('server_version_num')::int >= 160000 THEN to_jsonb(g.roles)
                          ELSE jsonb_build_array('dbsts_set_' || r.role_oid) END)
        END
    FROM dbsts.targets t JOIN dbsts.roles r ON r.target = t.name AND r.role = g.roles[1]
    WHERE t.name = g.target
$$;
REVOKE ALL ON FUNCTION dbsts.memberships(dbsts.grants) FROM PUBLIC;

-- minted is the answer about a login that exists.
CREATE OR REPLACE FUNCTION dbsts.minted(grant_id text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('outcome', 'minted', 'login', login, 'database', database, 'roles', roles,
        'session_role', CASE activation WHEN 'set' THEN roles[1] END,
        'expires_at', expires_at, 'expires_in', floor(extract(epoch FROM expires_at - clock_timestamp()))::int)
    FROM dbsts.grants WHERE id = grant_id
$$;
REVOKE ALL ON FUNCTION dbsts.minted(text) FROM PUBLIC;
