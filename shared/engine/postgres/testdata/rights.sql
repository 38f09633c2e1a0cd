-- Who may do what with our objects, a line for each role and object. What PUBLIC may do stands under public only; an
-- owner's rights on his own objects are not repeated. Run by a superuser in the home database.
CREATE FUNCTION pg_temp.may(who name, kind text, thing text, what text) RETURNS boolean LANGUAGE sql AS $$
    SELECT CASE kind
        WHEN 'database' THEN has_database_privilege(who, thing, what)
        WHEN 'schema'   THEN has_schema_privilege(who, thing, what)
        WHEN 'table'    THEN has_table_privilege(who, thing, what)
        WHEN 'sequence' THEN has_sequence_privilege(who, thing, what)
        WHEN 'routine'  THEN has_function_privilege(who, thing, what)
    END
$$;

CREATE TEMP VIEW who AS
    SELECT rolname AS who FROM pg_roles WHERE rolname ~ '^dbsts_' AND rolname !~ '^dbsts_[a-z2-7]{26}$'
    UNION ALL SELECT 'public';

CREATE TEMP VIEW things AS
    SELECT 'database' AS kind, quote_ident(datname) AS thing, datdba AS owner, '{CONNECT,CREATE,TEMPORARY}'::text[] AS rights
    FROM pg_database WHERE NOT datistemplate
    UNION ALL
    SELECT 'schema', oid::regnamespace::text, nspowner, '{USAGE,CREATE}' FROM pg_namespace WHERE nspname ~ '^dbsts'
    UNION ALL
    SELECT 'routine', oid::regprocedure::text, proowner, '{EXECUTE}' FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^dbsts'
    UNION ALL
    SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, oid::regclass::text, relowner,
           CASE relkind WHEN 'S' THEN '{USAGE,SELECT,UPDATE}' ELSE '{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}' END::text[]
    FROM pg_class WHERE relkind IN ('r', 'v', 'S') AND relnamespace::regnamespace::text ~ '^dbsts';

SELECT line FROM (
    SELECT who || ': ' || string_agg(what, ', ' ORDER BY what) || ' on ' || kind || ' ' || thing
    FROM who, things, unnest(rights) AS what
    WHERE pg_temp.may(who, kind, thing, what) AND owner IS DISTINCT FROM to_regrole(who::text)
      AND (who = 'public' OR NOT pg_temp.may('public', kind, thing, what))
    GROUP BY who, kind, thing
    UNION ALL
    SELECT who || ': ' || what || ' (' || string_agg(attname, ', ' ORDER BY attnum) || ') on table ' || thing
    FROM who, things JOIN pg_attribute ON attrelid = to_regclass(thing) AND attnum > 0, unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::text[]) AS what
    WHERE kind = 'table' AND has_column_privilege(who, attrelid, attnum, what) AND NOT pg_temp.may(who, kind, thing, what)
    GROUP BY who, what, thing
    UNION ALL
    SELECT owner::regrole || ': owner of ' || kind || ' ' || thing FROM things WHERE owner::regrole::text ~ '^dbsts_'
) AS lines (line) ORDER BY line COLLATE "C";
