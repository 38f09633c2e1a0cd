-- reconcile compares the catalog with the ledger, both ways, and marks what does not belong for the sweep to end.
-- Only logins that carry this installation's marker (role comment dbsts:<installation>:<grant>) are ever ours.
-- Takes {"server"}. Answers {"orphans", "vanished", "overtaken", "ghosts", "due", "oldest_due" (seconds)}.
CREATE OR REPLACE FUNCTION dbsts.reconcile(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    now_      constant timestamptz := clock_timestamp();
    home      dbsts.home;
    g         dbsts.grants;
    o         record;
    orphans   int := 0;
    vanished  int := 0;
    overtaken int;
    look      jsonb;
BEGIN
    home := dbsts.placed(doc);
    DELETE FROM dbsts.replays WHERE expires_at < now_;
    DELETE FROM dbsts.refusals WHERE minute < now_ - interval '5 minutes';

    -- Grants whose token is not newer than an epoch that was set after they were minted.
    overtaken := dbsts.end_grants(ARRAY(
        SELECT d.id FROM dbsts.epochs e JOIN dbsts.grants d
          ON d.state = 'active' AND e.issuer IN (d.issuer, '*') AND d.token_iat <= e.not_before
         AND (e.kind = '*' OR (e.kind = 'sub' AND e.value = d.subject) OR (e.kind = 'sid' AND e.value = d.sid))), 'epoch');

    -- Rows whose login is gone.
    FOR g IN
        UPDATE dbsts.grants d SET state = 'revoked', cause = CASE d.state WHEN 'active' THEN 'vanished' ELSE d.cause END,
                                  ended_at = clock_timestamp(), next_attempt_at = NULL
        WHERE d.state <> 'revoked' AND coalesce(d.leased_until < now_, true)
          AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = d.role_oid)
        RETURNING d.*
    LOOP
        DELETE FROM dbsts_api.claims WHERE login = g.login;
        PERFORM dbsts.record('vanished', 'done', g, g.cause);
        vanished := vanished + 1;
    END LOOP;

    -- Logins of ours without a live row: given a row, so that they end like all others. Anybody may copy a marker onto another
    -- role, so name or maker must agree with it; before PostgreSQL 16 nothing tells who made a role.
    FOR o IN
        SELECT r.oid, right(s.description, 26) AS id, (
            SELECT coalesce(min(substr(a.rolname, 15, 2)::int), 0)
            FROM pg_auth_members m JOIN pg_roles a ON a.oid = m.member
            WHERE m.roleid = r.oid AND a.rolname ~ '^dbsts_creator_[0-9]{2}$') AS creator  -- here it is asked for orphans alone
        FROM pg_roles r
        JOIN pg_shdescription s ON s.objoid = r.oid AND s.classoid = 'pg_authid'::regclass
        WHERE s.description ~ ('^dbsts:' || home.installation || ':[a-z2-7]{26}$')
          AND NOT EXISTS (SELECT FROM dbsts.grants d WHERE d.role_oid = r.oid AND d.state <> 'revoked')
          AND (r.rolname = 'dbsts_' || right(s.description, 26) OR EXISTS (
                   SELECT FROM pg_auth_members m JOIN pg_roles a ON a.oid = m.member
                   WHERE m.roleid = r.oid AND m.admin_option AND a.rolname ~ '^dbsts_creator_[0-9]{2}$'))
    LOOP
        INSERT INTO dbsts.grants AS d (id, login, role_oid, target, database, creator, state, cause, issuer, identity, subject, token_key,
                                  token_iat, secret_hash, roles, activation, rules, policy_version, issued_at, expires_at, due_at, next_attempt_at)
        VALUES (o.id, 'dbsts_' || o.id, o.oid, '', '', o.creator, 'revoking', 'orphan', '', '', '', '',
                '-infinity', '', '{}', 'inherit', '[]', 0, now_, now_, now_, now_)
        ON CONFLICT (id) DO UPDATE SET state = 'revoking', cause = 'orphan', role_oid = o.oid, creator = o.creator, ended_at = NULL,
                                       due_at = now_, next_attempt_at = now_, leased_until = NULL
            WHERE d.state = 'revoked' OR NOT EXISTS (SELECT FROM pg_roles x WHERE x.oid = d.role_oid)
        RETURNING d.* INTO g;
        IF FOUND THEN  -- else somebody has copied the marker of a login that lives
            PERFORM dbsts.record('orphan', 'done', g, 'orphan');
            orphans := orphans + 1;
        END IF;
    END LOOP;

    look := dbsts.look('{}', NULL);  -- ends sessions of roles that no longer exist
    RETURN jsonb_build_object('orphans', orphans, 'vanished', vanished, 'overtaken', overtaken, 'ghosts', look->'ghosts') || (
        SELECT jsonb_build_object('due', count(*), 'oldest_due', coalesce(floor(extract(epoch FROM now_ - min(coalesce(due_at, expires_at))))::int, 0))
        FROM dbsts.grants WHERE state IN ('revoking', 'quarantined') OR (state = 'active' AND expires_at <= now_));
END
$$;
REVOKE ALL ON FUNCTION dbsts.reconcile(jsonb) FROM PUBLIC;
