-- One of the routines that make and end logins. Run as dbsts_creator_{{NN}}, once for each creator; {{NN}} is two digits.
-- Since PostgreSQL 16 only the role that made a login may alter or drop it, and a creator slows down with the number of
-- logins it has made: so there are many creators, each with this one door, which only dbsts_owner may open.
CREATE OR REPLACE FUNCTION dbsts.as_creator_{{NN}}(op text, login text, doc jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $as_creator$
DECLARE
    modern  constant boolean := current_setting('server_version_num')::int >= 160000;
    options constant text := CASE WHEN NOT modern THEN ''
                                  WHEN doc->>'activation' = 'set' THEN ' WITH INHERIT FALSE, SET TRUE'
                                  ELSE ' WITH INHERIT TRUE, SET FALSE' END;
    role    text;
BEGIN
    IF login !~ '^dbsts_[a-z2-7]{26}$' AND NOT (op = 'bridge' AND login ~ '^dbsts_set_[0-9]+$') THEN
        RAISE EXCEPTION 'dbsts: not the name of a login' USING ERRCODE = 'DS003';
    END IF;
    IF op IN ('block', 'drop') THEN  -- whoever holds these locks for longer means to; hundreds of them must not stop a sweep
        PERFORM set_config('lock_timeout', '100ms', true);
    END IF;
    CASE op
    WHEN 'create' THEN
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN INHERIT CONNECTION LIMIT %s PASSWORD %L VALID UNTIL %L',
                           login, (doc->>'connection_limit')::int, doc->>'verifier', doc->>'valid_until');
        EXCEPTION WHEN OTHERS THEN  -- the server's own message may quote the verifier
            RAISE EXCEPTION 'dbsts: the login could not be created' USING ERRCODE = SQLSTATE;
        END;
        EXECUTE format('COMMENT ON ROLE %I IS %L', login, doc->>'marker');
    WHEN 'grant' THEN
        IF doc ? 'connect' THEN
            EXECUTE format('GRANT %I TO %I', doc->>'connect', login) || CASE WHEN modern THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END;
        END IF;
        FOR role IN SELECT jsonb_array_elements_text(doc->'roles') LOOP
            EXECUTE format('GRANT %I TO %I', role, login) || options;
        END LOOP;
    WHEN 'block' THEN
        EXECUTE format('ALTER ROLE %I NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL VALID UNTIL ''-infinity''', login);
    WHEN 'strip' THEN
        FOR role IN
            SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
            WHERE m.member = to_regrole(login) ORDER BY 1
        LOOP
            EXECUTE format('REVOKE %I FROM %I', role, login);
        END LOOP;
    WHEN 'rename' THEN
        EXECUTE format('ALTER ROLE %I RENAME TO %I', doc->>'from', login);
    WHEN 'drop' THEN
        EXECUTE format('DROP ROLE IF EXISTS %I', login);
    WHEN 'bridge' THEN  -- before PostgreSQL 16: a member that may SET ROLE but does not inherit
        IF to_regrole(login) IS NULL THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', login);
            EXECUTE format('COMMENT ON ROLE %I IS %L', login, doc->>'marker');
        END IF;
        EXECUTE format('GRANT %I TO %I', doc->>'role', login);
    END CASE;
END
$as_creator$;
REVOKE ALL ON FUNCTION dbsts.as_creator_{{NN}}(text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dbsts.as_creator_{{NN}}(text, text, jsonb) TO dbsts_owner;
