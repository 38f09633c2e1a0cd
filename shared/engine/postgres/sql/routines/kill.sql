-- kill is one look for the sessions of grants that are being ended; see dbsts.look.
-- Takes {"server", "ids", "seen": strangers of the look before}. Answers {"busy": ids with sessions, "sessions",
-- "strangers", "lingering"}. Two looks a second apart, both empty, prove that no session is left.
CREATE OR REPLACE FUNCTION dbsts.kill(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM dbsts.placed(doc);
    RETURN dbsts.kill_sessions(ARRAY(SELECT jsonb_array_elements_text(doc->'ids')), doc->'seen');
END
$$;
REVOKE ALL ON FUNCTION dbsts.kill(jsonb) FROM PUBLIC;

CREATE OR REPLACE FUNCTION dbsts.kill_sessions(ids text[], seen jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    look  jsonb;
    busy  jsonb := '[]';
    r     record;
BEGIN
    look := dbsts.look(ARRAY(SELECT role_oid FROM dbsts.grants WHERE id = ANY (ids) AND state IN ('revoking', 'quarantined')), seen);
    FOR r IN
        SELECT d AS g, b.n FROM dbsts.grants d
        JOIN (SELECT value::oid AS role_oid, count(*)::int AS n FROM jsonb_array_elements_text(look->'busy') GROUP BY 1) b USING (role_oid)
        WHERE d.id = ANY (ids)
    LOOP
        busy := busy || to_jsonb((r.g).id);
        UPDATE dbsts.grants SET max_sessions = greatest(max_sessions, r.n), last_seen = clock_timestamp(),
                                first_seen = coalesce(first_seen, clock_timestamp()) WHERE id = (r.g).id;
        PERFORM dbsts.record('kill', 'done', r.g, (r.g).cause, jsonb_build_object('sessions', r.n));
    END LOOP;
    RETURN look || jsonb_build_object('busy', busy);
END
$$;
REVOKE ALL ON FUNCTION dbsts.kill_sessions(text[], jsonb) FROM PUBLIC;
