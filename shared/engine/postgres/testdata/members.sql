-- What our roles are and what they are members of. Run by a superuser.
SELECT line FROM (
    SELECT rolname || ':' || concat_ws(',', '', CASE WHEN rolcanlogin THEN ' login' END, CASE WHEN rolcreaterole THEN ' creates roles' END,
        CASE WHEN NOT rolinherit THEN ' inherits nothing' END,
        CASE WHEN rolsuper OR rolcreatedb OR rolreplication OR rolbypassrls THEN ' MORE THAN IT SHOULD' END)
    FROM pg_roles WHERE rolname ~ '^dbsts_' AND rolname !~ '^dbsts_[a-z2-7]{26}$'
    UNION ALL
    SELECT member::regrole || ': member of ' || roleid::regrole || ' ' ||
        (to_jsonb(m) - '{oid,roleid,member,grantor}'::text[])::text || ' by ' || CASE WHEN grantor = 10 THEN 'superuser' ELSE grantor::regrole::text END
    FROM pg_auth_members m
    WHERE (roleid::regrole::text ~ '^dbsts_' OR member::regrole::text ~ '^dbsts_')
      AND roleid::regrole::text ~ '^(dbsts|app|pg)_'  -- not the roles that tests make
      AND roleid::regrole::text !~ '^dbsts_[a-z2-7]{26}$' AND member::regrole::text !~ '^dbsts_[a-z2-7]{26}$'
) AS lines (line) ORDER BY line COLLATE "C";
