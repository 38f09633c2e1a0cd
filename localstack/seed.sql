-- A small shop with two tenants, and who may do what in it. Run once by the administrator in the database `shop`, after
-- dbsts is installed there. The setting local.issuer names the issuer that the rules are for.

-- Roles of the shop, as its owners would define them without dbsts.
CREATE ROLE app_read  NOLOGIN;
CREATE ROLE app_write NOLOGIN;
CREATE ROLE app_owner NOLOGIN;

CREATE SCHEMA shop;
CREATE TABLE shop.customers (
    id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant  text    NOT NULL,
    name    text    NOT NULL
);
CREATE TABLE shop.orders (
    id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant  text    NOT NULL,
    item    text    NOT NULL,
    amount  numeric(10, 2) NOT NULL CHECK (amount > 0)
);
CREATE TABLE shop.secrets (name text PRIMARY KEY, value text NOT NULL);
COMMENT ON COLUMN shop.orders.amount IS 'price of the whole order, euros';
COMMENT ON TABLE  shop.secrets       IS 'granted to nobody';

INSERT INTO shop.customers (tenant, name) VALUES ('blue', 'Ada'), ('blue', 'Grace'), ('green', 'Edsger');
INSERT INTO shop.orders (tenant, item, amount)
    VALUES ('blue', 'teapot', 24.50), ('blue', 'kettle', 39.00), ('green', 'samovar', 310.00);
INSERT INTO shop.secrets VALUES ('signing key', 'not for you');

GRANT USAGE ON SCHEMA shop TO app_read, app_write, app_owner;
GRANT SELECT ON shop.customers, shop.orders TO app_read;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.orders TO app_write;
GRANT CREATE ON SCHEMA shop TO app_owner;

-- Each login works on the rows of its own tenant: the tenant that its token proved, which no client can forge.
ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.orders    ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON shop.customers TO app_read USING (tenant = (SELECT dbsts_api.claim('tenant')));
CREATE POLICY own_tenant ON shop.orders TO app_read, app_write USING (tenant = (SELECT dbsts_api.claim('tenant')));

-- A login enters the database of its target, and no other.
REVOKE CONNECT, TEMPORARY ON DATABASE shop, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO app_read, app_write, app_owner;

-- dbsts may hand the three roles out. The WITH clauses are a syntax error before PostgreSQL 16, where CREATEROLE needs no grant.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE 'GRANT app_read, app_write, app_owner TO dbsts_caps WITH ADMIN TRUE, INHERIT FALSE, SET FALSE';
    END IF;
END
$$;

-- The catalogue: reading and writing roles act at once; the owner's role only after SET ROLE, so that what is created
-- belongs to the role and not to a login that is gone in an hour.
INSERT INTO dbsts.roles (target, role, activation, max_ttl) VALUES
    ('shop', 'app_read',  'inherit', 3600),
    ('shop', 'app_write', 'inherit', 3600),
    ('shop', 'app_owner', 'set',      900);

INSERT INTO dbsts.rules (id, issuer, target, match, roles, expose, max_ttl)
SELECT id, current_setting('local.issuer'), 'shop',
       jsonb_build_array(jsonb_build_object('claim', 'groups', 'op', 'has', 'value', id)), roles, expose, 900
FROM (VALUES
    ('analysts',  ARRAY['app_read']::name[],              ARRAY['tenant']),
    ('engineers', ARRAY['app_read', 'app_write']::name[], ARRAY['tenant']),
    ('dba',       ARRAY['app_owner']::name[],             ARRAY[]::text[])
) AS r (id, roles, expose);
