-- surrender and silence end one grant for whoever holds its secret: block first, then one look for its sessions at a time.
-- Both take {"server", "grant", "secret_hash" (hex)} and fail with DS006 when no grant has that id and that secret.
CREATE OR REPLACE FUNCTION dbsts.surrender(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    id_   text;
    cause text;
BEGIN
    PERFORM dbsts.placed(doc);
    id_ := dbsts.possessed(doc);
    PERFORM dbsts.end_grants(ARRAY[id_], 'revoked');
    cause := dbsts.block_logins(ARRAY[id_]);
    IF cause IS NULL THEN
        RETURN jsonb_build_object('outcome', 'done');
    END IF;
    PERFORM dbsts.strip_login(id_);
    RETURN jsonb_build_object('outcome', 'stuck', 'cause', cause);
END
$$;
REVOKE ALL ON FUNCTION dbsts.surrender(jsonb) FROM PUBLIC;

-- silence also takes {"seen"} and answers like dbsts.kill.
CREATE OR REPLACE FUNCTION dbsts.silence(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM dbsts.placed(doc);
    RETURN dbsts.kill_sessions(ARRAY[dbsts.possessed(doc)], doc->'seen');
END
$$;
REVOKE ALL ON FUNCTION dbsts.silence(jsonb) FROM PUBLIC;

-- possessed is the id of the grant whose secret the caller has shown.
CREATE OR REPLACE FUNCTION dbsts.possessed(doc jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    id_ text;
BEGIN
    SELECT id INTO id_ FROM dbsts.grants WHERE id = doc->>'grant' AND secret_hash = decode(doc->>'secret_hash', 'hex');
    IF id_ IS NULL THEN
        RAISE EXCEPTION 'dbsts: no such grant' USING ERRCODE = 'DS006';
    END IF;
    RETURN id_;
END
$$;
REVOKE ALL ON FUNCTION dbsts.possessed(jsonb) FROM PUBLIC;
