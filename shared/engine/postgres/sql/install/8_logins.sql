-- The broker's own logins, one for each function, with no right but to connect and to execute its routines. Run by the
-- administrator. A password that changed in its source is changed here.
-- Settings of the transaction: dbsts.installation, dbsts.{exchange,revoke,sweep}_login and _verifier.
DO $logins$
DECLARE
    function text;
    login    name;
    marker   text;
BEGIN
    FOREACH function IN ARRAY ARRAY['exchange', 'revoke', 'sweep'] LOOP
        login  := current_setting('dbsts.' || function || '_login');
        marker := 'dbsts:' || current_setting('dbsts.installation') || ':' || function;
        IF to_regrole(quote_ident(login)) IS NULL THEN
            EXECUTE format('CREATE ROLE %I', login);
            EXECUTE format('COMMENT ON ROLE %I IS %L', login, marker);
        ELSIF shobj_description(to_regrole(quote_ident(login)), 'pg_authid') IS DISTINCT FROM marker THEN
            RAISE EXCEPTION 'role % exists and does not belong to this installation', quote_ident(login) USING ERRCODE = 'DS010',
                HINT = 'Name another login for this function in the configuration, or drop that role.';
        END IF;
        BEGIN
            EXECUTE format('ALTER ROLE %I LOGIN NOINHERIT PASSWORD %L', login, current_setting('dbsts.' || function || '_verifier'));
        EXCEPTION WHEN OTHERS THEN  -- the server's own message may quote the verifier
            RAISE EXCEPTION 'the password of login % could not be set', quote_ident(login) USING ERRCODE = SQLSTATE;
        END;
        -- A login may give itself settings that keep it from its work.
        EXECUTE format('ALTER ROLE %I RESET ALL', login);
        EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', login, current_database());
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), login);
    END LOOP;
END
$logins$;
