-- claim answers one verified claim of whoever is logged in, or null: of the login that the session began with, so that
-- neither SET ROLE nor any setting of the client can forge it. Use it in row-level policies as (SELECT dbsts_api.claim('tenant')).
-- Run as dbsts_reader, who may read that one view. Everybody may execute it.
CREATE OR REPLACE FUNCTION dbsts_api.claim(name text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED AS $$
    SELECT c.value FROM dbsts_api.own_claims c WHERE c.name = $1
$$;
COMMENT ON FUNCTION dbsts_api.claim(text) IS 'A verified claim of the token that this session''s login was minted for, or null.';
GRANT EXECUTE ON FUNCTION dbsts_api.claim(text) TO PUBLIC;
