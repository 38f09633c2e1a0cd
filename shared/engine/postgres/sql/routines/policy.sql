-- policy tells the exchange function the rules that hold now and the roles of the catalogue. Changes nothing.
-- Takes {"server"}. Answers {"version", "as_of", "policy": {"rules": […], "roles": […]}}.
CREATE OR REPLACE FUNCTION dbsts.policy(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    now_ constant timestamptz := clock_timestamp();
    version_ bigint;
BEGIN
    PERFORM dbsts.placed(doc);
    LOCK TABLE dbsts.gate IN ACCESS SHARE MODE;
    SELECT version INTO STRICT version_ FROM dbsts.policy;
    RETURN jsonb_build_object(
        'version', version_,
        'as_of', now_,
        'policy', jsonb_build_object(
            'rules', (
                SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'id', id, 'version', version, 'effect', effect, 'issuer', issuer, 'target', target, 'match', match,
                    'roles', roles, 'default_roles', default_roles, 'max_ttl', max_ttl, 'identity', identity, 'expose', expose) ORDER BY id), '[]')
                FROM dbsts.rules
                WHERE enabled AND coalesce(valid_from <= now_, true) AND coalesce(valid_until > now_, true)),
            'roles', (
                SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'target', r.target, 'role', r.role, 'activation', r.activation, 'max_ttl', r.max_ttl) ORDER BY r.target, r.role), '[]')
                FROM dbsts.roles r JOIN dbsts.targets t ON t.name = r.target
                WHERE r.enabled AND t.enabled)));
END
$$;
REVOKE ALL ON FUNCTION dbsts.policy(jsonb) FROM PUBLIC;
