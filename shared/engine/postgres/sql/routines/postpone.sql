-- postpone gives a grant back after an attempt that did not end it: blocked it stays, its roles are taken from it, and it
-- is tried again after 5 to 10 seconds, then ever later up to 5 minutes, for as long as the login exists.
-- Takes {"server", "grant", "cause"}; the causes "owned" and "prepared" quarantine it. Answers {"outcome": "done"}.
CREATE OR REPLACE FUNCTION dbsts.postpone(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    g      dbsts.grants;
    why    text := left(doc->>'cause', 100);
    state_ text;
BEGIN
    PERFORM dbsts.placed(doc);
    SELECT * INTO g FROM dbsts.grants WHERE id = doc->>'grant' AND state IN ('revoking', 'quarantined') FOR UPDATE;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'done'); END IF;
    IF why = 'locked' AND EXISTS (SELECT FROM pg_prepared_xacts WHERE owner = g.login) THEN
        why := 'prepared';  -- there is no session that could let go of the lock
    END IF;
    state_ := CASE WHEN why IN ('owned', 'prepared') THEN 'quarantined' END;
    IF g.last_error IS DISTINCT FROM why OR (state_ = 'quarantined' AND g.state <> state_) THEN
        PERFORM dbsts.record('postpone', coalesce(state_, 'revoking'), g, why, jsonb_build_object('attempts', g.attempts));
    END IF;
    UPDATE dbsts.grants
    SET state = coalesce(state_, g.state), last_error = why, leased_until = NULL,
        next_attempt_at = clock_timestamp() + least(300, 5 * 2 ^ least(attempts, 10)) * (1 + random()) / 2 * interval '1 second'
    WHERE id = g.id;
    PERFORM dbsts.strip_login(g.id);
    RETURN jsonb_build_object('outcome', 'done');
END
$$;
REVOKE ALL ON FUNCTION dbsts.postpone(jsonb) FROM PUBLIC;
