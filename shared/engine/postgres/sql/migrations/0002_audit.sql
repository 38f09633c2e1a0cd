-- The audit trail. Run as dbsts_audit, who owns it: the routines may add rows, and nobody may change one.

CREATE TABLE dbsts.audit (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid             xid8        NOT NULL DEFAULT pg_current_xact_id(),
    actor           text        NOT NULL DEFAULT session_user,
    event           text        NOT NULL,
    outcome         text        NOT NULL,
    grant_id        text,
    login           name,
    issuer          text,
    identity        text,
    subject         text,
    target          text,
    roles           name[],
    rules           jsonb,
    policy_version  bigint,
    reason          text,
    detail          jsonb,
    source_ip       text,
    request_id      text
);
CREATE INDEX audit_grant ON dbsts.audit (grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX audit_at    ON dbsts.audit (at);
COMMENT ON TABLE  dbsts.audit IS 'Every decision and every step of ending access, in clear, append-only.';
COMMENT ON COLUMN dbsts.audit.xid     IS 'transaction that wrote the row; rows become visible in the order of commits, not of ids';
COMMENT ON COLUMN dbsts.audit.actor   IS 'database account that acted: a broker''s login, or the person who changed a rule';
COMMENT ON COLUMN dbsts.audit.event   IS 'mint, refuse, end, block, kill, drop, postpone, orphan, vanished, rule, role, policy, install';
COMMENT ON COLUMN dbsts.audit.outcome IS 'done, refused, or what stands in the way';
COMMENT ON COLUMN dbsts.audit.reason  IS 'why: the closed list of docs/audit.md';
COMMENT ON COLUMN dbsts.audit.detail  IS 'what else an auditor wants to know; for a changed rule or role the whole row';

GRANT INSERT ON dbsts.audit TO dbsts_owner;
GRANT SELECT ON dbsts.audit TO dbsts_auditor;
