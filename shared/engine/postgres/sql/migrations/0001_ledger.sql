-- The ledger: what dbsts knows, on the server it serves. Run as dbsts_owner, once, by `dbsts install`.
-- People write rules and roles (groups dbsts_policy, dbsts_catalogue) and read everything (dbsts_auditor).
-- Nobody writes the other tables: the routines do.

CREATE TABLE dbsts.home (
    one                boolean     PRIMARY KEY DEFAULT true CHECK (one),
    installation       uuid        NOT NULL,
    address            text        NOT NULL,
    database_oid       oid         NOT NULL,
    system_identifier  bigint      NOT NULL,
    creators           integer     NOT NULL CHECK (creators BETWEEN 1 AND 64),
    installed_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE  dbsts.home IS 'One row: which installation this is, and the server it was made on. Every routine compares them and refuses to work on a clone.';
COMMENT ON COLUMN dbsts.home.installation      IS 'identity of this installation; part of the marker (role comment) of every login';
COMMENT ON COLUMN dbsts.home.address           IS 'host:port under which the configuration knows this server';
COMMENT ON COLUMN dbsts.home.database_oid      IS 'OID of the home database';
COMMENT ON COLUMN dbsts.home.system_identifier IS 'pg_control_system().system_identifier of the server';
COMMENT ON COLUMN dbsts.home.creators          IS 'how many roles dbsts_creator_NN share the making of logins: 64, or 1 before PostgreSQL 16';

CREATE TABLE dbsts.policy (
    one                         boolean     PRIMARY KEY DEFAULT true CHECK (one),
    version                     bigint      NOT NULL DEFAULT 1,
    frozen                      boolean     NOT NULL DEFAULT false,
    system_roles                text[]      NOT NULL DEFAULT '{}',
    live_per_identity           integer     DEFAULT 100  CHECK (live_per_identity > 0),
    mints_per_identity_minute   integer     DEFAULT 60   CHECK (mints_per_identity_minute > 0),
    mints_per_issuer_minute     integer     CHECK (mints_per_issuer_minute > 0),
    live_per_target             integer     CHECK (live_per_target > 0),
    refusals_per_issuer_minute  integer     DEFAULT 300  CHECK (refusals_per_issuer_minute > 0),
    changed_by                  text        NOT NULL DEFAULT session_user,
    changed_at                  timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_in                  xid8
);
COMMENT ON TABLE  dbsts.policy IS 'One row: the version of rules and catalogue, the freeze switch, the quotas.';
COMMENT ON COLUMN dbsts.policy.version      IS 'raised by every transaction that changes rules, catalogue or this row; a decision made on an older version is refused';
COMMENT ON COLUMN dbsts.policy.frozen       IS 'true: nothing is minted; ending access goes on';
COMMENT ON COLUMN dbsts.policy.system_roles IS 'roles named pg_* or rds_* that a catalogue role may reach all the same, listed by hand';
COMMENT ON COLUMN dbsts.policy.live_per_identity         IS 'live grants that one identity may hold per target; null: no limit';
COMMENT ON COLUMN dbsts.policy.mints_per_identity_minute IS 'grants that one identity may get in any 60 seconds; null: no limit';
COMMENT ON COLUMN dbsts.policy.mints_per_issuer_minute   IS 'grants that one issuer may get in any 60 seconds; null: no limit; each mint then reads up to that many index entries';
COMMENT ON COLUMN dbsts.policy.live_per_target           IS 'live grants of one target; null: no limit; each mint then reads up to that many index entries';
COMMENT ON COLUMN dbsts.policy.refusals_per_issuer_minute IS 'refusals of one issuer''s tokens that go on record in one minute, so that nobody with a valid token fills the trail; the first one too many is marked as limited; null: no limit';
COMMENT ON COLUMN dbsts.policy.changed_in   IS 'transaction that made this version, so that it raises the version once';

CREATE TABLE dbsts.gate (one boolean PRIMARY KEY);
COMMENT ON TABLE dbsts.gate IS 'Empty for ever. Mints lock it in ACCESS SHARE mode, changes of policy and epochs in ACCESS EXCLUSIVE mode: they exclude each other, and nobody else can take the lock.';

CREATE TABLE dbsts.targets (
    name          text    PRIMARY KEY,
    database      name    NOT NULL UNIQUE,
    database_oid  oid     NOT NULL,
    enabled       boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE  dbsts.targets IS 'Databases of this server that callers can ask for. Copied from the configuration by `dbsts install`.';
COMMENT ON COLUMN dbsts.targets.enabled IS 'false: the configuration no longer names it';

CREATE TABLE dbsts.roles (
    target            text        NOT NULL REFERENCES dbsts.targets,
    role              name        NOT NULL,
    activation        text        NOT NULL DEFAULT 'inherit' CHECK (activation IN ('inherit', 'set')),
    max_ttl           integer     NOT NULL DEFAULT 3600 CHECK (max_ttl BETWEEN 30 AND 86400),
    connection_limit  integer     NOT NULL DEFAULT 10 CHECK (connection_limit BETWEEN 1 AND 1000),
    enabled           boolean     NOT NULL DEFAULT true,
    note              text,
    role_oid          oid         NOT NULL,
    version           bigint      NOT NULL DEFAULT 1,
    changed_by        text        NOT NULL DEFAULT session_user,
    changed_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (target, role)
);
COMMENT ON TABLE  dbsts.roles IS 'The catalogue: roles that dbsts may hand out, each with its ceiling. Older versions are in dbsts.audit.';
COMMENT ON COLUMN dbsts.roles.activation       IS 'inherit: the login has the role''s rights at once (reading, DML). set: the login is powerless until SET ROLE, so that what it creates belongs to the role (DDL)';
COMMENT ON COLUMN dbsts.roles.max_ttl          IS 'longest lifetime of a login with this role, seconds';
COMMENT ON COLUMN dbsts.roles.connection_limit IS 'sessions that one login with this role may have at once';
COMMENT ON COLUMN dbsts.roles.role_oid         IS 'filled in; a role dropped and made again under the same name is another role and is refused';

CREATE TABLE dbsts.rules (
    id             text        PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    enabled        boolean     NOT NULL DEFAULT true,
    effect         text        NOT NULL DEFAULT 'allow' CHECK (effect IN ('allow', 'deny')),
    issuer         text        NOT NULL CHECK (issuer ~ '^https://'),
    target         text        NOT NULL REFERENCES dbsts.targets,
    match          jsonb       NOT NULL,
    roles          name[]      NOT NULL DEFAULT '{}',
    default_roles  name[],
    max_ttl        integer     NOT NULL DEFAULT 900 CHECK (max_ttl BETWEEN 30 AND 86400),
    identity       text,
    expose         text[]      NOT NULL DEFAULT '{}',
    note           text,
    valid_from     timestamptz,
    valid_until    timestamptz,
    version        bigint      NOT NULL DEFAULT 1,
    changed_by     text        NOT NULL DEFAULT session_user,
    changed_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX rules_timed ON dbsts.rules (valid_from, valid_until) WHERE valid_from IS NOT NULL OR valid_until IS NOT NULL;
COMMENT ON TABLE  dbsts.rules IS 'Who may have what: issuer and conditions on claims give roles. Deny wins. Older versions are in dbsts.audit.';
COMMENT ON COLUMN dbsts.rules.issuer        IS 'exact iss claim';
COMMENT ON COLUMN dbsts.rules.match         IS 'conditions, all of which must hold: [{"claim": "groups", "op": "has", "value": "analysts"}, …]; see docs/rules.md';
COMMENT ON COLUMN dbsts.rules.roles         IS 'roles of the catalogue that the rule gives';
COMMENT ON COLUMN dbsts.rules.default_roles IS 'roles given when the caller names none; null: all of them';
COMMENT ON COLUMN dbsts.rules.max_ttl       IS 'lifetime that the rule gives, seconds; the role''s own maximum and the caller''s wish shorten it';
COMMENT ON COLUMN dbsts.rules.identity      IS 'claim that identifies the caller, if not the one of the issuer''s configuration';
COMMENT ON COLUMN dbsts.rules.expose        IS 'claims that dbsts_api.claim() answers in the session; only for targets in the home database';

CREATE TABLE dbsts.grants (
    id               text        PRIMARY KEY CHECK (id ~ '^[a-z2-7]{26}$'),
    login            name        NOT NULL UNIQUE,
    role_oid         oid         NOT NULL,
    target           text        NOT NULL,
    database         name        NOT NULL,
    mode             text        NOT NULL DEFAULT 'password' CHECK (mode IN ('password', 'iam')),
    creator          integer     NOT NULL,
    state            text        NOT NULL CHECK (state IN ('intended', 'active', 'revoking', 'revoked', 'quarantined')),
    cause            text,
    issuer           text        NOT NULL,
    identity         text        NOT NULL,
    subject          text        NOT NULL,
    sid              text,
    token_key        text        NOT NULL,
    token_iat        timestamptz NOT NULL,
    secret_hash      bytea       NOT NULL,
    roles            name[]      NOT NULL,
    activation       text        NOT NULL,
    rules            jsonb       NOT NULL,
    policy_version   bigint      NOT NULL,
    claims           jsonb       NOT NULL DEFAULT '{}',
    exposed          jsonb       NOT NULL DEFAULT '{}',
    reason           text,
    source_ip        text,
    request_id       text,
    issued_at        timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    due_at           timestamptz,
    ended_at         timestamptz,
    leased_until     timestamptz,
    next_attempt_at  timestamptz,
    attempts         integer     NOT NULL DEFAULT 0,
    last_error       text,
    first_seen       timestamptz,
    last_seen        timestamptz,
    max_sessions     integer     NOT NULL DEFAULT 0
);
CREATE INDEX grants_expiring ON dbsts.grants (expires_at) WHERE state = 'active';
CREATE INDEX grants_ending   ON dbsts.grants (next_attempt_at) WHERE state IN ('revoking', 'quarantined');
CREATE INDEX grants_open     ON dbsts.grants (role_oid) WHERE state <> 'revoked';
-- The narrower index of two is made last: while the table is small they cost the same, and the planner takes the last one.
CREATE INDEX grants_issuer   ON dbsts.grants (issuer, issued_at);
CREATE INDEX grants_identity ON dbsts.grants (issuer, identity, issued_at);
CREATE INDEX grants_target   ON dbsts.grants (target) WHERE state = 'active';
CREATE INDEX grants_live     ON dbsts.grants (issuer, identity, target) WHERE state = 'active';
COMMENT ON TABLE  dbsts.grants IS 'One row is one credential''s whole life.';
COMMENT ON COLUMN dbsts.grants.id              IS '128 random bits, base32; the login is dbsts_<id>';
COMMENT ON COLUMN dbsts.grants.role_oid        IS 'OID of the login; sessions are matched by it, never by name';
COMMENT ON COLUMN dbsts.grants.creator         IS 'the dbsts_creator_NN that made the login and alone can alter or drop it';
COMMENT ON COLUMN dbsts.grants.cause           IS 'why it ends: expired, revoked, epoch, orphan, vanished, …';
COMMENT ON COLUMN dbsts.grants.token_key       IS 'jti of the token, or SHA-256 of its payload';
COMMENT ON COLUMN dbsts.grants.token_iat       IS 'when the token was issued; an epoch at or after it ends the grant';
COMMENT ON COLUMN dbsts.grants.secret_hash     IS 'SHA-256 of the secret half of the password, for revocation by possession';
COMMENT ON COLUMN dbsts.grants.rules           IS 'rules that gave the roles: [{"id", "version"}]';
COMMENT ON COLUMN dbsts.grants.claims          IS 'verified claims that rules read';
COMMENT ON COLUMN dbsts.grants.exposed         IS 'verified claims that the session itself may read';
COMMENT ON COLUMN dbsts.grants.due_at          IS 'when it was marked to be ended; what is overdue is measured from here';
COMMENT ON COLUMN dbsts.grants.leased_until    IS 'a sweep works on it until then';
COMMENT ON COLUMN dbsts.grants.next_attempt_at IS 'when ending it is tried again';
COMMENT ON COLUMN dbsts.grants.last_error      IS 'short machine word for what stopped the last attempt';
COMMENT ON COLUMN dbsts.grants.max_sessions    IS 'most sessions seen at once when it was ended';

CREATE TABLE dbsts.epochs (
    issuer      text        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('sub', 'sid', '*')),
    value       text        NOT NULL,
    not_before  timestamptz NOT NULL,
    cause       text        NOT NULL,
    set_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (issuer, kind, value)
);
COMMENT ON TABLE  dbsts.epochs IS 'Tokens issued at or before not_before are refused, and grants made with them are ended.';
COMMENT ON COLUMN dbsts.epochs.issuer IS 'exact iss claim, or * for all issuers';
COMMENT ON COLUMN dbsts.epochs.value  IS 'the sub or sid claim; * where kind is *';

CREATE TABLE dbsts.refusals (
    issuer  text        NOT NULL,
    minute  timestamptz NOT NULL,
    n       integer     NOT NULL,
    PRIMARY KEY (issuer, minute)
);
COMMENT ON TABLE dbsts.refusals IS 'How many refusals each issuer''s tokens had in the last minutes.';

CREATE TABLE dbsts.replays (
    issuer      text        NOT NULL,
    token_key   text        NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (issuer, token_key)
);
CREATE INDEX replays_expired ON dbsts.replays (expires_at);
COMMENT ON TABLE dbsts.replays IS 'Tokens already spent, of issuers whose tokens may be spent once; kept until the token has expired.';
