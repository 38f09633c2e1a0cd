-- The targets of this server, as the configuration names them. Run as dbsts_owner.
-- Setting of the transaction: dbsts.targets, a JSON list of {"name", "database"}.
WITH wanted AS (
    SELECT w.name, d.datname, d.oid
    FROM jsonb_to_recordset(current_setting('dbsts.targets')::jsonb) AS w (name text, database text)
    JOIN pg_database d ON d.datname = w.database
)
INSERT INTO dbsts.targets (name, database, database_oid, enabled)
SELECT name, datname, oid, true FROM wanted
ON CONFLICT (name) DO UPDATE SET database = excluded.database, database_oid = excluded.database_oid, enabled = true;

UPDATE dbsts.targets SET enabled = false
WHERE enabled AND name NOT IN (SELECT w.name FROM jsonb_to_recordset(current_setting('dbsts.targets')::jsonb) AS w (name text));
