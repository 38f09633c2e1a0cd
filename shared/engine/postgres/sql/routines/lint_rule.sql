-- What a rule must not say, as far as the database can tell: no issuer's habits are known here. `dbsts lint` finds the
-- same and more, and reads patterns as the functions do. Run as dbsts_owner.
--
-- A rule that is disabled may say anything: so may one that is being disabled because it was found to be bad.

-- claim_flaw says what is wrong with the name of a claim, or null.
CREATE OR REPLACE FUNCTION dbsts.claim_flaw(claim text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN octet_length(convert_to(claim, 'UTF8')) NOT BETWEEN 1 AND 256 THEN 'a claim name has 1 to 256 bytes'
        WHEN claim LIKE '/%' AND claim ~ '~([^01]|$)' THEN 'in a JSON Pointer ~ is written ~0 and / is written ~1'
    END
$$;
REVOKE ALL ON FUNCTION dbsts.claim_flaw(text) FROM PUBLIC;

-- condition_flaw says why the functions would not understand a condition, or null. check_rule has seen that it is an
-- object with a claim and a known op.
CREATE OR REPLACE FUNCTION dbsts.condition_flaw(condition jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    op      constant text  := condition->>'op';
    value   constant jsonb := condition->'value';
    kind    constant text  := coalesce(jsonb_typeof(value), 'null');
    pattern constant text  := value #>> '{}';
    scalars constant text[] := '{string,number,boolean}';
BEGIN
    IF condition - '{claim,op,value}'::text[] <> '{}' THEN
        RETURN 'it may hold claim, op and value alone';
    ELSIF op = 'present' AND condition ? 'value' THEN
        RETURN 'op present takes no value';
    ELSIF op IN ('eq', 'has') AND kind <> ALL (scalars) THEN
        RETURN format('op %s wants text, a number, true or false', op);
    ELSIF op IN ('lt', 'le', 'gt', 'ge') AND kind <> 'number' THEN
        RETURN format('op %s wants a number', op);
    ELSIF op IN ('in', 'not_in', 'has_any', 'has_all') THEN
        IF kind <> 'array' OR value = '[]' OR (SELECT count(DISTINCT jsonb_typeof(e)) > 1 OR bool_or(jsonb_typeof(e) <> ALL (scalars)) FROM jsonb_array_elements(value) e) THEN
            RETURN format('op %s wants a list of at least one value, all text, all numbers or all true or false', op);
        END IF;
    ELSIF op IN ('glob', 're') THEN
        IF kind <> 'string' OR octet_length(convert_to(pattern, 'UTF8')) NOT BETWEEN 1 AND 256 THEN
            RETURN format('op %s wants a pattern of 1 to 256 bytes', op);
        ELSIF op = 'glob' AND (strpos(pattern, '?') > 0 OR strpos(pattern, '**') > 0) THEN
            RETURN 'a glob has neither ? nor **, and * stays inside one segment';
        ELSIF op = 'glob' AND strpos(pattern, '*') BETWEEN 1 AND 4 THEN
            RETURN 'a glob has at least four literal characters before its first *';
        END IF;
    END IF;
    RETURN dbsts.claim_flaw(condition->>'claim');
END
$$;
REVOKE ALL ON FUNCTION dbsts.condition_flaw(jsonb) FROM PUBLIC;

-- rule_flaw says whom a rule lets in that its author cannot have meant, or null. To deny too much is safe.
CREATE OR REPLACE FUNCTION dbsts.rule_flaw(r dbsts.rules) RETURNS text
LANGUAGE sql STABLE AS $$
    WITH conditions AS (
        SELECT CASE WHEN c->>'claim' ~ '^/[^/]*$' THEN replace(replace(substr(c->>'claim', 2), '~1', '/'), '~0', '~') ELSE c->>'claim' END AS claim,
               c->>'op' AS op, c->'value' AS value
        FROM jsonb_array_elements(r.match) AS c
    )
    SELECT CASE
        WHEN r.effect = 'deny' THEN NULL
        WHEN bool_and(op = 'present' OR claim IN ('iss', 'aud') OR (op = 're' AND value #>> '{}' ~ '^(\(\?s\))?\^?\.[*+]\$?$'))
            THEN 'every token of the issuer satisfies it: say who is meant'
        WHEN bool_or(claim IN ('upn', 'preferred_username', 'unique_name'))
            THEN format('%s can be changed or given to somebody else: bind sub, oid or another stable id', min(claim) FILTER (WHERE claim IN ('upn', 'preferred_username', 'unique_name')))
        WHEN bool_or(claim = 'email') AND NOT bool_or(claim = 'email_verified' AND op = 'eq' AND value IN ('true', '"true"'))
            THEN 'email counts only beside {"claim": "email_verified", "op": "eq", "value": true}'
        WHEN bool_or(op IN ('glob', 're') AND (claim = ANY ('{sub,oid,uid,user_id,repository_id,repository_owner_id,enterprise_id,project_id,namespace_id,/kubernetes.io/serviceaccount/uid}')
                                               OR claim IN (r.identity, ltrim(r.identity, '/'))))
            THEN 'a pattern on a claim that identifies one caller admits many: use eq or in'
    END
    FROM conditions
$$;
REVOKE ALL ON FUNCTION dbsts.rule_flaw(dbsts.rules) FROM PUBLIC;

-- lint_rule refuses what is never meant, and warns of what is in vain. It runs after check_rule: triggers run by name.
CREATE OR REPLACE FUNCTION dbsts.lint_rule() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    item jsonb;
    name text;
    flaw text;
    cap  record;
BEGIN
    IF NOT NEW.enabled THEN
        RETURN NEW;
    END IF;
    FOR item IN SELECT jsonb_array_elements(NEW.match) LOOP
        flaw := dbsts.condition_flaw(item);
        IF flaw IS NOT NULL THEN
            RAISE EXCEPTION 'rule %: condition %: %', NEW.id, item, flaw USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;
    FOREACH name IN ARRAY NEW.identity || NEW.expose LOOP
        flaw := dbsts.claim_flaw(name);
        IF flaw IS NOT NULL THEN
            RAISE EXCEPTION 'rule %: claim %: %', NEW.id, quote_literal(name), flaw USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;
    flaw := dbsts.rule_flaw(NEW);
    IF flaw IS NOT NULL THEN
        RAISE EXCEPTION 'rule %: %', NEW.id, flaw USING ERRCODE = 'check_violation';
    END IF;
    FOR cap IN SELECT role, max_ttl FROM dbsts.roles WHERE target = NEW.target AND role = ANY (NEW.roles) AND max_ttl < NEW.max_ttl ORDER BY role LOOP
        RAISE WARNING 'rule %: max_ttl is %, but logins with % end after % seconds', NEW.id, NEW.max_ttl, quote_ident(cap.role), cap.max_ttl;
    END LOOP;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION dbsts.lint_rule() FROM PUBLIC;

DROP TRIGGER IF EXISTS lint_rule ON dbsts.rules;
CREATE TRIGGER lint_rule BEFORE INSERT OR UPDATE ON dbsts.rules FOR EACH ROW EXECUTE FUNCTION dbsts.lint_rule();
