-- What login $1 may do and PUBLIC may not: on every object of this database, every database, language and tablespace.
SELECT kind || ' ' || object || ': ' || privilege FROM (
    SELECT 'database' AS kind, datname::text AS object, p AS privilege,
           has_database_privilege($1::name, oid, p) AND NOT has_database_privilege('public', oid, p) AS more
    FROM pg_database, unnest(ARRAY['CONNECT', 'CREATE', 'TEMPORARY']) p
    UNION ALL
    SELECT 'schema', nspname, p, has_schema_privilege($1::name, oid, p) AND NOT has_schema_privilege('public', oid, p)
    FROM pg_namespace, unnest(ARRAY['USAGE', 'CREATE']) p
    UNION ALL
    SELECT 'table', oid::regclass::text, p, has_table_privilege($1::name, oid, p) AND NOT has_table_privilege('public', oid, p)
    FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT 'column of', attrelid::regclass::text || '.' || attname, p,
           has_column_privilege($1::name, attrelid, attnum, p) AND NOT has_column_privilege('public', attrelid, attnum, p)
           AND NOT has_table_privilege($1::name, attrelid, p)
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) p
    WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT 'sequence', oid::regclass::text, p, has_sequence_privilege($1::name, oid, p) AND NOT has_sequence_privilege('public', oid, p)
    FROM pg_class, unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) p WHERE relkind = 'S'
    UNION ALL
    SELECT 'function', oid::regprocedure::text, 'EXECUTE', has_function_privilege($1::name, oid, 'EXECUTE') AND NOT has_function_privilege('public', oid, 'EXECUTE')
    FROM pg_proc
    UNION ALL
    SELECT 'type', oid::regtype::text, 'USAGE', has_type_privilege($1::name, oid, 'USAGE') AND NOT has_type_privilege('public', oid, 'USAGE') FROM pg_type
    UNION ALL
    SELECT 'language', lanname, 'USAGE', has_language_privilege($1::name, oid, 'USAGE') AND NOT has_language_privilege('public', oid, 'USAGE') FROM pg_language
    UNION ALL
    SELECT 'tablespace', spcname, 'CREATE', has_tablespace_privilege($1::name, oid, 'CREATE') AND NOT has_tablespace_privilege('public', oid, 'CREATE')
    FROM pg_tablespace
    UNION ALL
    SELECT 'parameter', parname, p, has_parameter_privilege($1::name, parname, p) AND NOT has_parameter_privilege('public', parname, p)
    FROM pg_parameter_acl, unnest(ARRAY['SET', 'ALTER SYSTEM']) p
) x WHERE more;
