-- Small routines that the published ones share. Run as dbsts_owner; nobody else may execute them. They run with the
-- rights and settings of the published routine that calls them.

-- as_creator opens the door of the creator that a login belongs to.
CREATE OR REPLACE FUNCTION dbsts.as_creator(creator int, op text, login text, doc jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT dbsts.as_creator_%s($1, $2, $3)', to_char(creator, 'FM00')) USING op, login, doc;
END
$$;
REVOKE ALL ON FUNCTION dbsts.as_creator(int, text, text, jsonb) FROM PUBLIC;

-- placed refuses to work on a server other than the one that was installed on, whatever brought us here: a restored
-- snapshot, a clone, an address that points elsewhere. It also refuses isolation levels that would show an old policy.
CREATE OR REPLACE FUNCTION dbsts.placed(doc jsonb) RETURNS dbsts.home
LANGUAGE plpgsql AS $$
DECLARE
    here dbsts.home;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'dbsts: routines run in READ COMMITTED transactions only' USING ERRCODE = 'DS002';
    END IF;
    SELECT * INTO STRICT here FROM dbsts.home;
    IF here.address IS DISTINCT FROM doc->>'server'
       OR here.system_identifier <> (SELECT system_identifier FROM pg_control_system())
       OR here.database_oid <> (SELECT oid FROM pg_database WHERE datname = current_database()) THEN
        RAISE EXCEPTION 'dbsts: this server is not the one that was installed on' USING ERRCODE = 'DS001';
    END IF;
    RETURN here;
END
$$;
REVOKE ALL ON FUNCTION dbsts.placed(jsonb) FROM PUBLIC;

-- record adds one row to the audit trail about a grant. In PL/pgSQL, which keeps the plan: before PostgreSQL 18 a function
-- in SQL would plan at each call, ten times the cost of the row.
CREATE OR REPLACE FUNCTION dbsts.record(event text, outcome text, g dbsts.grants, reason text, detail jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dbsts.audit (event, outcome, grant_id, login, issuer, identity, subject, target, roles, rules, policy_version,
                             reason, detail, source_ip, request_id)
    VALUES (record.event, record.outcome, g.id, g.login, g.issuer, g.identity, g.subject, g.target, g.roles, g.rules, g.policy_version,
            record.reason, record.detail, g.source_ip, g.request_id);
END
$$;
REVOKE ALL ON FUNCTION dbsts.record(text, text, dbsts.grants, text, jsonb) FROM PUBLIC;

-- record_each adds one row to the audit trail about each of these grants, with its cause as the reason; for whole batches.
CREATE OR REPLACE FUNCTION dbsts.record_each(event text, ids text[], detail jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dbsts.audit (event, outcome, grant_id, login, issuer, identity, subject, target, roles, rules, policy_version,
                             reason, detail, source_ip, request_id)
    SELECT record_each.event, 'done', g.id, g.login, g.issuer, g.identity, g.subject, g.target, g.roles, g.rules, g.policy_version,
           g.cause, record_each.detail, g.source_ip, g.request_id
    FROM dbsts.grants g WHERE g.id = ANY (ids);
END
$$;
REVOKE ALL ON FUNCTION dbsts.record_each(text, text[], jsonb) FROM PUBLIC;

-- refusal counts one refusal of an issuer's tokens and says how it goes on record: as refused; as limited, the first one too
-- many in this minute; or null, not at all.
CREATE OR REPLACE FUNCTION dbsts.refusal(of text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    most  int;
    n_    int;
BEGIN
    SELECT refusals_per_issuer_minute INTO most FROM dbsts.policy;
    INSERT INTO dbsts.refusals AS r VALUES (coalesce(left(of, 500), ''), date_trunc('minute', clock_timestamp()), 1)
    ON CONFLICT (issuer, minute) DO UPDATE SET n = r.n + 1 RETURNING r.n INTO n_;
    RETURN CASE WHEN n_ > most + 1 THEN NULL WHEN n_ > most THEN 'limited' ELSE 'refused' END;
END
$$;
REVOKE ALL ON FUNCTION dbsts.refusal(text) FROM PUBLIC;

-- moved tells whether rules or catalogue changed since the caller read them: another version, or a rule whose time has
-- come or gone since then.
CREATE OR REPLACE FUNCTION dbsts.moved(doc jsonb) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT (SELECT version FROM dbsts.policy) IS DISTINCT FROM (doc->>'policy_version')::bigint
        OR EXISTS (SELECT FROM dbsts.rules
                   WHERE enabled
                     AND (   (valid_from  > (doc->>'policy_as_of')::timestamptz AND valid_from  <= clock_timestamp())
                          OR (valid_until > (doc->>'policy_as_of')::timestamptz AND valid_until <= clock_timestamp())))
$$;
REVOKE ALL ON FUNCTION dbsts.moved(jsonb) FROM PUBLIC;
