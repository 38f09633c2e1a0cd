-- What the DBA writes once dbsts is installed. Run by the superuser in database shop.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE 'GRANT app_read, app_write, app_owner TO dbsts_caps WITH ADMIN TRUE, INHERIT FALSE, SET FALSE';
    END IF;
END
$$;
INSERT INTO dbsts.roles (target, role, activation, max_ttl) VALUES
    ('shop', 'app_read',  'inherit', 3600),
    ('shop', 'app_write', 'inherit', 1800),
    ('shop', 'app_owner', 'set',     900);
INSERT INTO dbsts.rules (id, issuer, target, match, roles, expose) VALUES
    ('analysts',  'https://issuer.test', 'shop', '[{"claim": "groups", "op": "has", "value": "analysts"}]',  '{app_read}',            '{tenant}'),
    ('engineers', 'https://issuer.test', 'shop', '[{"claim": "groups", "op": "has", "value": "engineers"}]', '{app_read,app_write}',  '{tenant}'),
    ('dba',       'https://issuer.test', 'shop', '[{"claim": "groups", "op": "has", "value": "dba"}]',       '{app_owner}',           '{}');

SET ROLE app_owner;
ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants ON shop.orders USING (tenant = (SELECT dbsts_api.claim('tenant')));
RESET ROLE;
