-- Which migrations have been applied. Run as dbsts_owner.
CREATE TABLE IF NOT EXISTS dbsts.schema_version (
    number      integer     PRIMARY KEY,
    name        text        NOT NULL,
    sha256      text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE  dbsts.schema_version IS 'Migrations applied. Locked by whoever installs, so that two installs take turns.';
COMMENT ON COLUMN dbsts.schema_version.sha256 IS 'SHA-256 of the migration''s text; an edited migration is refused';
LOCK TABLE dbsts.schema_version IN ACCESS EXCLUSIVE MODE;
