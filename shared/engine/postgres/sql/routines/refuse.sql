-- refuse puts a denial on record. Takes engine.Refusal as JSON, with "server". Answers {"outcome": "recorded"}, or
-- {"outcome": "stale"} when the denial was decided on rules that have changed: then the caller decides again, or
-- {"outcome": "limited"} when the issuer's tokens were refused too often in this minute: a valid token must not fill the trail.
CREATE OR REPLACE FUNCTION dbsts.refuse(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    outcome_ text;
BEGIN
    PERFORM dbsts.placed(doc);
    LOCK TABLE dbsts.gate IN ACCESS SHARE MODE;
    IF (doc->>'policy_version')::bigint <> 0 AND dbsts.moved(doc) THEN
        RETURN jsonb_build_object('outcome', 'stale');
    END IF;
    outcome_ := dbsts.refusal(doc->>'issuer');
    IF outcome_ IS NULL THEN
        RETURN jsonb_build_object('outcome', 'limited');
    END IF;
    INSERT INTO dbsts.audit (event, outcome, issuer, identity, subject, target, policy_version, reason, detail, source_ip, request_id)
    VALUES ('refuse', outcome_, left(doc->>'issuer', 500), left(doc->>'identity', 500), left(doc->>'subject', 500),
            left(doc->>'target', 100), (doc->>'policy_version')::bigint, left(doc->>'reason', 100),
            CASE WHEN octet_length((doc->'detail')::text) <= 32768 THEN doc->'detail' END,
            left(doc->>'source_ip', 100), left(doc->>'request_id', 100));
    RETURN jsonb_build_object('outcome', 'recorded');
END
$$;
REVOKE ALL ON FUNCTION dbsts.refuse(jsonb) FROM PUBLIC;
