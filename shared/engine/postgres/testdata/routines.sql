-- How our routines run: their owner, whether with his rights, and the settings that no caller can change.
-- createrole_self_grant is left out: there is none before PostgreSQL 16.
CREATE TEMP VIEW ours AS
    SELECT oid::regprocedure::text AS routine, proowner::regrole AS owner, prosecdef,
           (SELECT string_agg(c, E'\n    ' ORDER BY c COLLATE "C") FROM unnest(proconfig) AS c WHERE c !~ '^createrole_self_grant') AS settings
    FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^dbsts';

SELECT line FROM (
    SELECT routine || ': ' || owner || CASE WHEN prosecdef THEN ', definer' ELSE '' END FROM ours
    UNION ALL
    SELECT 'settings of ' || string_agg(DISTINCT regexp_replace(routine, '_\d\d\(', '_NN(') COLLATE "C", ', ') || E':\n    ' || settings
    FROM ours WHERE settings IS NOT NULL GROUP BY settings
) AS lines (line) ORDER BY line COLLATE "C";
