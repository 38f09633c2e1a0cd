-- The shop, as its owner made it before dbsts came. Run by the superuser in database shop.
CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD '{{password}}';
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE 'GRANT pg_signal_backend, pg_read_all_stats TO master WITH ADMIN OPTION';
    END IF;
END
$$;
ALTER DATABASE shop OWNER TO master;
REVOKE ALL ON DATABASE shop, postgres, template1 FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

CREATE ROLE app_read NOLOGIN;
CREATE ROLE app_write NOLOGIN;
CREATE ROLE app_owner NOLOGIN;
GRANT CONNECT ON DATABASE shop TO app_read, app_write, app_owner;

CREATE SCHEMA shop AUTHORIZATION app_owner;
GRANT USAGE ON SCHEMA shop TO app_read, app_write;
SET ROLE app_owner;
CREATE TABLE shop.customers (id int PRIMARY KEY, tenant text NOT NULL, name text NOT NULL);
CREATE TABLE shop.orders (id int PRIMARY KEY, tenant text NOT NULL, item text NOT NULL);
CREATE TABLE shop.secrets (id int PRIMARY KEY, secret text NOT NULL);
CREATE TABLE shop.visits (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), who text DEFAULT session_user);
INSERT INTO shop.customers VALUES (1, 'acme', 'Ada'), (2, 'globex', 'Bob');
INSERT INTO shop.orders VALUES (1, 'acme', 'anvil'), (2, 'globex', 'globe');
INSERT INTO shop.secrets VALUES (1, 'of the house');
GRANT SELECT ON shop.customers, shop.orders TO app_read;
GRANT INSERT, UPDATE, DELETE ON shop.orders TO app_write;
RESET ROLE;
