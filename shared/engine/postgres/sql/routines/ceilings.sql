-- ceilings says which limit a wish for a login breaks, or null. Run as dbsts_owner; nobody else may execute it.
-- The exchange function has decided already; this is for the day when somebody else holds its credential. Each answer
-- is one of a closed list of words, which the function translates for its caller.
CREATE OR REPLACE FUNCTION dbsts.ceilings(wish dbsts.grants) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    modern     constant boolean := current_setting('server_version_num')::int >= 160000;
    lifetime   constant int := ceil(extract(epoch FROM wish.expires_at - wish.issued_at));
    p          dbsts.policy;
    item       record;
    cited      int;
    live       int;
BEGIN
    SELECT * INTO STRICT p FROM dbsts.policy;
    IF p.frozen THEN RETURN 'frozen'; END IF;

    -- The token: not issued before an epoch, nor in the future (60 s is the clock skew that verification allows).
    IF wish.token_iat > wish.issued_at + interval '60 seconds' THEN RETURN 'token_from_the_future'; END IF;
    IF EXISTS (SELECT FROM dbsts.epochs e
               WHERE e.issuer IN (wish.issuer, '*')
                 AND (e.kind, e.value) IN (('sub', wish.subject), ('sid', wish.sid), ('*', '*'))
                 AND wish.token_iat <= e.not_before) THEN
        RETURN 'epoch_overtaken';
    END IF;

    -- The rules: each one cited is live, is this issuer's and this target's, and together they cover roles and lifetime.
    SELECT count(*) INTO cited
    FROM jsonb_to_recordset(wish.rules) AS c (id text, version bigint)
    JOIN dbsts.rules r ON r.id = c.id AND r.version = c.version
    WHERE r.enabled AND r.effect = 'allow' AND r.issuer = wish.issuer AND r.target = wish.target
      AND coalesce(r.valid_from <= clock_timestamp(), true) AND coalesce(r.valid_until > clock_timestamp(), true);
    IF cited = 0 OR cited <> jsonb_array_length(wish.rules) THEN RETURN 'rule_not_live'; END IF;

    IF cardinality(wish.roles) = 0 THEN RETURN 'role_missing'; END IF;
    IF lifetime < 30 THEN RETURN 'lifetime_too_short'; END IF;
    FOR item IN
        SELECT w.role, c.role_oid, c.enabled, c.activation, c.max_ttl, (SELECT oid FROM pg_roles WHERE rolname = w.role) AS now_oid,
               (SELECT max(r.max_ttl) FROM jsonb_to_recordset(wish.rules) AS x (id text) JOIN dbsts.rules r ON r.id = x.id
                WHERE w.role = ANY (r.roles)) AS rule_ttl
        FROM unnest(wish.roles) AS w (role) LEFT JOIN dbsts.roles c ON c.target = wish.target AND c.role = w.role
    LOOP
        IF item.enabled IS NOT TRUE THEN RETURN 'role_not_in_catalogue';
        ELSIF item.rule_ttl IS NULL THEN RETURN 'role_not_covered_by_rule';
        ELSIF lifetime > least(item.rule_ttl, item.max_ttl) THEN RETURN 'lifetime_exceeded';
        ELSIF item.now_oid IS DISTINCT FROM item.role_oid THEN RETURN 'role_replaced';
        ELSIF item.activation <> wish.activation OR (wish.activation = 'set' AND cardinality(wish.roles) > 1) THEN RETURN 'roles_do_not_mix';
        ELSIF dbsts.role_flaw(item.role_oid, item.activation) IS NOT NULL
              OR (modern AND NOT dbsts.capable(item.role_oid)) THEN RETURN 'role_unsafe';
        END IF;
    END LOOP;

    -- Claims that the session may read: in this database only, and only those that the rules name.
    IF wish.exposed <> '{}' AND (wish.database <> current_database() OR EXISTS (
           SELECT FROM jsonb_object_keys(wish.exposed) k WHERE NOT EXISTS (
               SELECT FROM jsonb_to_recordset(wish.rules) AS x (id text) JOIN dbsts.rules r ON r.id = x.id WHERE k = ANY (r.expose)))) THEN
        RETURN 'claim_not_exposed';
    END IF;

    -- Quotas, counted through indexes and no further than the limit. Concurrent mints may overshoot by their number.
    IF p.live_per_identity IS NOT NULL THEN
        SELECT count(*) INTO live FROM (SELECT FROM dbsts.grants g WHERE g.issuer = wish.issuer AND g.identity = wish.identity
            AND g.target = wish.target AND g.state = 'active' LIMIT p.live_per_identity) x;
        IF live >= p.live_per_identity THEN RETURN 'quota_live_identity'; END IF;
    END IF;
    IF p.mints_per_identity_minute IS NOT NULL THEN
        SELECT count(*) INTO live FROM (SELECT FROM dbsts.grants g WHERE g.issuer = wish.issuer AND g.identity = wish.identity
            AND g.issued_at > wish.issued_at - interval '1 minute' LIMIT p.mints_per_identity_minute) x;
        IF live >= p.mints_per_identity_minute THEN RETURN 'quota_rate_identity'; END IF;
    END IF;
    IF p.mints_per_issuer_minute IS NOT NULL THEN
        SELECT count(*) INTO live FROM (SELECT FROM dbsts.grants g WHERE g.issuer = wish.issuer
            AND g.issued_at > wish.issued_at - interval '1 minute' LIMIT p.mints_per_issuer_minute) x;
        IF live >= p.mints_per_issuer_minute THEN RETURN 'quota_rate_issuer'; END IF;
    END IF;
    IF p.live_per_target IS NOT NULL THEN
        SELECT count(*) INTO live FROM (SELECT FROM dbsts.grants g WHERE g.target = wish.target AND g.state = 'active' LIMIT p.live_per_target) x;
        IF live >= p.live_per_target THEN RETURN 'quota_live_target'; END IF;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION dbsts.ceilings(dbsts.grants) FROM PUBLIC;
