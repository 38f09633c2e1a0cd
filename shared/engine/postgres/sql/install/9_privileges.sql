-- Who may do what. Run as dbsts_owner. The broker's logins may execute their own routines and nothing else.
-- Settings of the transaction: dbsts.exchange_login, dbsts.revoke_login, dbsts.sweep_login.
DO $privileges$
DECLARE
    exchange constant name := current_setting('dbsts.exchange_login');
    revoke_  constant name := current_setting('dbsts.revoke_login');
    sweep    constant name := current_setting('dbsts.sweep_login');
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA dbsts TO %I, %I, %I, dbsts_policy, dbsts_catalogue, dbsts_auditor',
                   exchange, revoke_, sweep);
    EXECUTE format('GRANT EXECUTE ON FUNCTION dbsts.policy(jsonb), dbsts.mint(jsonb), dbsts.refuse(jsonb) TO %I', exchange);
    EXECUTE format('GRANT EXECUTE ON FUNCTION dbsts.surrender(jsonb), dbsts.silence(jsonb) TO %I', revoke_);
    EXECUTE format('GRANT EXECUTE ON FUNCTION dbsts.lease(jsonb), dbsts.block(jsonb), dbsts.kill(jsonb), dbsts.drop(jsonb), dbsts.postpone(jsonb), dbsts.reconcile(jsonb) TO %I', sweep);
END
$privileges$;

GRANT SELECT ON dbsts.home, dbsts.schema_version, dbsts.policy, dbsts.targets, dbsts.roles, dbsts.rules,
                dbsts.grants, dbsts.epochs, dbsts.replays TO dbsts_auditor;
GRANT SELECT ON dbsts.policy, dbsts.targets, dbsts.roles, dbsts.rules TO dbsts_policy, dbsts_catalogue;

GRANT INSERT (id, enabled, effect, issuer, target, match, roles, default_roles, max_ttl, identity, expose, note, valid_from, valid_until),
      UPDATE (enabled, effect, issuer, target, match, roles, default_roles, max_ttl, identity, expose, note, valid_from, valid_until),
      DELETE ON dbsts.rules TO dbsts_policy;
GRANT UPDATE (frozen, live_per_identity, mints_per_identity_minute, mints_per_issuer_minute, live_per_target, refusals_per_issuer_minute) ON dbsts.policy TO dbsts_policy;

GRANT INSERT (target, role, activation, max_ttl, connection_limit, enabled, note),
      UPDATE (activation, max_ttl, connection_limit, enabled, note),
      DELETE ON dbsts.roles TO dbsts_catalogue;
GRANT UPDATE (system_roles) ON dbsts.policy TO dbsts_catalogue;

-- A minted login reads its own claims and nothing else of ours.
GRANT USAGE ON SCHEMA dbsts_api TO PUBLIC;
GRANT USAGE ON SCHEMA dbsts_api TO dbsts_reader;

-- The install itself goes on record, with what it found and did.
INSERT INTO dbsts.audit (event, outcome, detail)
SELECT 'install', 'done', jsonb_build_object(
    'address', h.address, 'server_version', current_setting('server_version'), 'creators', h.creators,
    'migrations', (SELECT jsonb_agg(name ORDER BY number) FROM dbsts.schema_version),
    'targets', (SELECT jsonb_object_agg(name, database) FROM dbsts.targets WHERE enabled))
FROM dbsts.home h;
