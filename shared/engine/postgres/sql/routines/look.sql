-- look is one look for sessions of the given logins, and the order to end what it sees. Run as dbsts_signaller; only
-- dbsts_owner may execute it.
--
-- Sessions are matched by usesysid: a name could be used again, an OID is not. Sessions of roles that no longer exist are
-- ended too. A client can stay for minutes between the server's login check and its appearance under a user name
-- (post_auth_delay): such a backend holds a virtual transaction id but has no user. It is a stranger. A stranger that the
-- look before has seen is older than that look; it is ended and counted, whoever it is.
CREATE OR REPLACE FUNCTION dbsts.look(logins oid[], seen jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    holders    jsonb;
    strangers  jsonb;
    busy       oid[];
    sessions   int := 0;
    ghosts     int := 0;
    lingering  int := 0;
    s          record;
BEGIN
    -- First the locks, then the sessions: a backend that gets its name in between is then seen under it.
    SELECT coalesce(jsonb_agg(jsonb_build_object('pid', pid, 'vxid', virtualxid)), '[]') INTO holders
    FROM pg_locks WHERE locktype = 'virtualxid' AND mode = 'ExclusiveLock' AND granted AND pid <> pg_backend_pid();
    PERFORM pg_stat_clear_snapshot();

    FOR s IN
        SELECT a.pid, a.usesysid, r.oid IS NULL AS ghost FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
        WHERE a.usesysid = ANY (logins) AND (r.oid IS NULL OR r.rolname ~ '^dbsts_[a-z2-7]{26}$')
           OR a.usesysid IS NOT NULL AND r.oid IS NULL
    LOOP
        IF s.ghost AND EXISTS (SELECT FROM pg_roles WHERE oid = s.usesysid) THEN
            CONTINUE;  -- no ghost: the role was made while we looked
        END IF;
        BEGIN
            PERFORM pg_terminate_backend(s.pid);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;  -- somebody has made the login a superuser: it stays busy, and nobody else's end waits for it
        END;
        IF s.usesysid = ANY (logins) THEN
            sessions := sessions + 1;
            busy := busy || s.usesysid;
        ELSE
            ghosts := ghosts + 1;
        END IF;
    END LOOP;

    SELECT coalesce(jsonb_agg(jsonb_build_object('pid', h.pid, 'vxid', h.vxid)), '[]') INTO strangers
    FROM jsonb_to_recordset(holders) AS h (pid int, vxid text) LEFT JOIN pg_stat_activity a ON a.pid = h.pid
    WHERE a.pid IS NULL OR (a.usesysid IS NULL AND a.backend_type = 'client backend');

    FOR s IN
        SELECT n.pid FROM jsonb_to_recordset(strangers) AS n (pid int, vxid text)
        JOIN jsonb_to_recordset(coalesce(seen, '[]')) AS o (pid int, vxid text) USING (pid, vxid)
    LOOP
        BEGIN
            IF pg_terminate_backend(s.pid) THEN
                lingering := lingering + 1;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;  -- a superuser's, or not past the login check, which it will not pass now
        END;
    END LOOP;

    RETURN jsonb_build_object('busy', coalesce(to_jsonb(busy), '[]'), 'sessions', sessions, 'strangers', strangers,
                              'lingering', lingering, 'ghosts', ghosts);
END
$$;
REVOKE ALL ON FUNCTION dbsts.look(oid[], jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dbsts.look(oid[], jsonb) TO dbsts_owner;

-- clear_gate ends the sessions that hold the gate for longer than a mint takes: whoever changes policy or epochs has waited
-- for them in vain. Only routines of ours take that lock, so such a session is stuck, or is held open by somebody who has
-- stolen a broker's login and does not want access to end. Run as dbsts_signaller; only dbsts_owner may execute it.
CREATE OR REPLACE FUNCTION dbsts.clear_gate(gate oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    holder int;
BEGIN
    FOR holder IN
        SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE d.datname = current_database() AND l.locktype = 'relation' AND l.relation = gate AND l.granted AND l.pid <> pg_backend_pid()
    LOOP
        BEGIN
            PERFORM pg_terminate_backend(holder);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;  -- a superuser's
        END;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION dbsts.clear_gate(oid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dbsts.clear_gate(oid) TO dbsts_owner;
