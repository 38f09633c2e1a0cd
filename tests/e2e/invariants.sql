-- What must not be seen, one line of text for each sight of it. $1: whether everything that was due must have ended.
-- One statement sees catalog and ledger in one snapshot, so it may run while logins are made and ended. (Sessions are in
-- no snapshot; they are looked at only where $1 is true.)
WITH logins AS (
    SELECT oid, rolname, rolcanlogin, rolvaliduntil FROM pg_roles WHERE rolname ~ '^dbsts_[a-z2-7]{26}$'
), memberships AS (
    SELECT m.member, count(*) AS n, array_agg(r.rolname) FILTER (WHERE r.rolname !~ '^dbsts_(connect|set)_') AS roles
    FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid GROUP BY m.member
), steps AS (
    SELECT grant_id AS id,
           count(*) FILTER (WHERE event = 'mint' AND outcome = 'done')            AS mints,
           count(*) FILTER (WHERE event = 'end')                                  AS ends,
           count(*) FILTER (WHERE event = 'block')                                AS blocks,
           count(*) FILTER (WHERE event = 'drop')                                 AS drops,
           count(*) FILTER (WHERE event = 'vanished')                             AS vanished,
           count(*) FILTER (WHERE event = 'orphan')                               AS orphans,
           count(*) FILTER (WHERE event = 'postpone' AND outcome = 'quarantined') AS quarantines
    FROM dbsts.audit WHERE grant_id IS NOT NULL AND NOT (event = 'mint' AND outcome = 'refused') GROUP BY grant_id
), grants AS (
    SELECT g.*, coalesce(mints, 0) AS mints, coalesce(ends, 0) AS ends, coalesce(blocks, 0) AS blocks, coalesce(drops, 0) AS drops,
           coalesce(vanished, 0) AS vanished, coalesce(orphans, 0) AS orphans, coalesce(quarantines, 0) AS quarantines
    FROM dbsts.grants g LEFT JOIN steps USING (id)
)
-- Catalog and ledger agree.
SELECT 'login ' || l.rolname || ' has no grant that is not ended'
FROM logins l WHERE NOT EXISTS (SELECT FROM grants g WHERE g.role_oid = l.oid AND g.login = l.rolname AND g.state <> 'revoked')
UNION ALL
SELECT 'active grant ' || g.id || ' has no login that works as long as it says'
FROM grants g LEFT JOIN logins l ON l.oid = g.role_oid AND l.rolname = g.login
WHERE g.state = 'active' AND g.expires_at > clock_timestamp()
  AND (l.oid IS NULL OR NOT l.rolcanlogin OR l.rolvaliduntil IS DISTINCT FROM g.expires_at)
UNION ALL
SELECT 'active grant ' || g.id || ' has ' || coalesce(m.n, 0) || ' memberships for ' || g.roles::text
FROM grants g LEFT JOIN memberships m ON m.member = g.role_oid
WHERE g.state = 'active' AND coalesce(m.n, 0) <> cardinality(g.roles) + (g.activation = 'set')::int
UNION ALL
SELECT 'the login of grant ' || g.id || ' has roles ' || m.roles::text || ', the grant ' || g.roles::text
FROM grants g JOIN memberships m ON m.member = g.role_oid WHERE NOT m.roles <@ g.roles
UNION ALL
SELECT 'grant ' || g.id || ' is ended, and its login lives'
FROM grants g JOIN pg_roles r ON r.oid = g.role_oid OR r.rolname = g.login WHERE g.state = 'revoked'
UNION ALL
SELECT 'grant ' || g.id || ' is quarantined, and its login can log in'
FROM grants g JOIN logins l ON l.oid = g.role_oid WHERE g.state = 'quarantined' AND l.rolcanlogin
UNION ALL
SELECT 'claims of ' || c.login || ' have outlived it'
FROM dbsts_api.claims c WHERE NOT EXISTS (SELECT FROM grants g WHERE g.login = c.login AND g.state <> 'revoked')
-- Every change of state has its row in the audit trail, once. (An orphan was not minted by us, and may come twice.)
UNION ALL
SELECT 'grant ' || s.id || ' is in the audit trail only' FROM steps s WHERE NOT EXISTS (SELECT FROM grants g WHERE g.id = s.id)
UNION ALL
SELECT 'grant ' || id || ' was minted ' || mints || ' times, says the audit trail'
FROM grants WHERE mints > 1 OR mints + orphans = 0
UNION ALL
SELECT 'grant ' || id || ' is active, and the audit trail has it ended'
FROM grants WHERE state = 'active' AND ends + blocks + drops + vanished > 0
UNION ALL
SELECT 'grant ' || id || ' is ' || state || ' by ' || ends || ' audit rows'
FROM grants WHERE state <> 'active' AND orphans = 0 AND (ends > 1 OR ends + vanished = 0)
UNION ALL
SELECT 'grant ' || id || ' is ended by ' || drops + vanished || ' audit rows'
FROM grants WHERE state = 'revoked' AND (drops + vanished = 0 OR orphans = 0 AND drops + vanished > 1)
UNION ALL
SELECT 'grant ' || id || ' is ' || state || ', and the audit trail has it dropped'
FROM grants WHERE state <> 'revoked' AND orphans = 0 AND drops + vanished > 0
UNION ALL
SELECT 'grant ' || id || ' is quarantined without an audit row' FROM grants WHERE state = 'quarantined' AND quarantines = 0
-- What was due has ended.
UNION ALL
SELECT 'grant ' || id || ' is due and ' || state || coalesce(': ' || last_error, '')
FROM grants WHERE $1::boolean AND (state IN ('revoking', 'quarantined') OR state = 'active' AND expires_at <= clock_timestamp())
UNION ALL
SELECT 'a session of ' || coalesce(g.login, 'a role that is gone') || ' lives, process ' || a.pid
FROM pg_stat_activity a LEFT JOIN grants g ON g.role_oid = a.usesysid
WHERE $1::boolean AND a.usesysid IS NOT NULL
  AND (g.state <> 'active' OR NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.usesysid))
