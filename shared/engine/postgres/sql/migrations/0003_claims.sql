-- Verified claims that a session may read about itself. Run as dbsts_owner.
-- A narrow table of its own, which no later migration rewrites: sessions hold locks on it for as long as they like.

CREATE TABLE dbsts_api.claims (
    login       name        NOT NULL,
    name        text        NOT NULL,
    value       text        NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (login, name)
);
COMMENT ON TABLE  dbsts_api.claims IS 'Exposed claims of live grants. Read through dbsts_api.claim() only.';
COMMENT ON COLUMN dbsts_api.claims.value IS 'a string claim''s own text; any other claim as JSON';

CREATE VIEW dbsts_api.own_claims AS
    SELECT name, value FROM dbsts_api.claims
    WHERE login = session_user AND expires_at > clock_timestamp();
COMMENT ON VIEW dbsts_api.own_claims IS 'The claims of whoever asks.';
GRANT SELECT ON dbsts_api.own_claims TO dbsts_reader;
