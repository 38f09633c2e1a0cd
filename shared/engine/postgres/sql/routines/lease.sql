-- lease marks what is due and claims grants for one sweep, so that two sweeps share the work. The lease is the only lock.
-- Takes {"server", "n", "seconds"}. Answers {"leases": [{"grant", "login", "cause", "attempts"}]}, oldest first.
CREATE OR REPLACE FUNCTION dbsts.lease(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    now_  timestamptz := clock_timestamp();
    n     constant int := least((doc->>'n')::int, 1000);
    leases jsonb;
BEGIN
    PERFORM dbsts.placed(doc);
    PERFORM dbsts.end_grants(ARRAY(
        SELECT id FROM dbsts.grants WHERE state = 'active' AND expires_at <= now_
        ORDER BY expires_at LIMIT n FOR UPDATE SKIP LOCKED), 'expired');

    now_ := clock_timestamp();
    WITH due AS (
        SELECT id FROM dbsts.grants
        WHERE state IN ('revoking', 'quarantined') AND next_attempt_at <= now_ AND coalesce(leased_until <= now_, true)
        ORDER BY next_attempt_at LIMIT n FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE dbsts.grants g
        SET leased_until = now_ + make_interval(secs => least((doc->>'seconds')::int, 300)), attempts = attempts + 1
        FROM due WHERE g.id = due.id
        RETURNING g.id, g.login, g.cause, g.attempts, g.expires_at
    )
    SELECT coalesce(jsonb_agg(jsonb_build_object('grant', id, 'login', login, 'cause', cause, 'attempts', attempts) ORDER BY expires_at), '[]')
    INTO leases FROM claimed;
    RETURN jsonb_build_object('leases', leases);
END
$$;
REVOKE ALL ON FUNCTION dbsts.lease(jsonb) FROM PUBLIC;

-- end_grants marks live grants as due to be ended, with the cause, and puts that on record. Answers how many.
CREATE OR REPLACE FUNCTION dbsts.end_grants(ids text[], why text) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    ended text[];
BEGIN
    WITH changed AS (
        UPDATE dbsts.grants SET state = 'revoking', cause = why, due_at = clock_timestamp(), next_attempt_at = clock_timestamp()
        WHERE id = ANY (ids) AND state IN ('intended', 'active')
        RETURNING id
    ) SELECT array_agg(id) INTO ended FROM changed;
    PERFORM dbsts.record_each('end', ended);
    RETURN coalesce(cardinality(ended), 0);
END
$$;
REVOKE ALL ON FUNCTION dbsts.end_grants(text[], text) FROM PUBLIC;
