-- Every routine runs with settings of its own, so that no caller's SET can bend it. Run by each owner for its own routines.
DO $settings$
DECLARE
    routine regprocedure;
    setting text;
    pinned  text[] := ARRAY[
        'search_path = pg_catalog, pg_temp',
        'TimeZone = ''UTC''',
        'DateStyle = ''ISO, YMD''',
        'IntervalStyle = ''postgres''',
        'password_encryption = ''scram-sha-256''',
        'standard_conforming_strings = on',
        'transform_null_equals = off',
        'array_nulls = on',
        'row_security = on',
        'jit = off',
        'enable_seqscan = off'];  -- a session keeps its plans: those made with ten logins must do for ten thousand
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        pinned := pinned || ARRAY['createrole_self_grant = '''''];
    END IF;
    FOR routine IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace IN ('dbsts'::regnamespace, 'dbsts_api'::regnamespace)
          AND p.prosecdef AND p.proowner = current_user::regrole
    LOOP
        FOREACH setting IN ARRAY pinned LOOP
            EXECUTE format('ALTER FUNCTION %s SET %s', routine, setting);
        END LOOP;
        -- A login waits at most a second for its own row (somebody may hold it in an idle transaction).
        EXECUTE format('ALTER FUNCTION %s SET lock_timeout = %L', routine,
                       CASE WHEN routine::text ~ 'block|as_creator' THEN '1s' ELSE '2s' END);
    END LOOP;
END
$settings$;
