package postgres_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"dbsts/shared/engine"
	"dbsts/shared/engine/postgres"
)

// rightLife is what the routines answer, and do, in the lives of two grants. ID and LOGIN stand for what differs each time.
var rightLife = []string{
	"policy: same policy",
	"mint: database:shop expires_in:300 login:LOGIN outcome:minted roles:[app_read] session_role:<nil>",
	"made: 10 sessions, 300 s, until its end, member of app_read, password SCRAM-SHA-256, one audit row",
	"mint: database:shop expires_in:300 login:LOGIN outcome:minted roles:[app_owner] session_role:app_owner",
	"made: 10 sessions, 300 s, until its end, member of app_owner and to connect, password SCRAM-SHA-256, one audit row",
	"claim: acme",
	"mint of dbsts_owner: outcome:refused reason:role_not_in_catalogue",
	"refuse: outcome:recorded",
	"surrender: outcome:done",
	"silence: busy:[ID] sessions:1",
	"lease: leased",
	"block: outcome:done",
	"blocked: no login, no password, valid until -infinity",
	"kill: busy:[ID] sessions:1",
	"postpone: outcome:done",
	"postponed: quarantined, owned, again in 5 to 10 s, member of nothing",
	"drop: outcome:done",
	"dropped: revoked, no login, no claims",
	"reconcile: orphans:0 overtaken:0 vanished:0",
}

// biography writes a life down.
type biography struct {
	*server
	t     *testing.T
	ids   []string
	lines []string
}

func (b *biography) note(title, what string) { b.lines = append(b.lines, title+": "+what) }

// steady are the members of an answer that are the same each time.
var steady = regexp.MustCompile(`\b(busy|database|expires_in|login|orphans|outcome|overtaken|reason|roles|session_role|sessions|vanished):(\[[^\]]*\]|[^\s\]]+)`)

// tell calls a routine and writes its answer down.
func (b *biography) tell(who thief, title, routine string, doc map[string]any) map[string]any {
	b.t.Helper()
	answer, err := who.call(b.t.Context(), routine, doc)
	if err != nil {
		b.note(title, err.Error())
		return map[string]any{}
	}
	if left, ok := answer["expires_in"].(float64); ok && left >= 298 {
		answer["expires_in"] = 300
	}
	text := strings.Join(steady.FindAllString(fmt.Sprint(answer), -1), " ")
	for _, id := range b.ids {
		text = strings.NewReplacer(engine.LoginName(id), "LOGIN", id, "ID").Replace(text)
	}
	if routine != "policy" && routine != "lease" {
		b.note(title, text)
	}
	return answer
}

// see writes down what the superuser sees of a grant: the query's one text.
func (b *biography) see(title, query, id string) {
	b.t.Helper()
	b.note(title, one[string](b.t, b.server, query, id))
}

const seeMade = `
	SELECT rolconnlimit || ' sessions, ' || round(extract(epoch FROM expires_at - issued_at)) || ' s, until '
		|| CASE WHEN rolvaliduntil = expires_at THEN 'its end' ELSE rolvaliduntil::text END || ', member of '
		|| (SELECT string_agg(CASE WHEN b.rolname ~ '^dbsts_connect' THEN 'to connect' WHEN b.rolname ~ '^dbsts_set' THEN 'app_owner' ELSE b.rolname::text END,
			' and ' ORDER BY b.rolname ~ '^dbsts_connect', b.rolname) FROM pg_auth_members m JOIN pg_roles b ON b.oid = m.roleid WHERE m.member = a.oid)
		|| ', password ' || split_part(rolpassword, '$', 1)
		|| CASE WHEN (SELECT count(*) FROM dbsts.audit WHERE grant_id = g.id AND abs(extract(epoch FROM clock_timestamp() - at)) < 60) = 1 THEN ', one audit row' ELSE '' END
	FROM dbsts.grants g JOIN pg_authid a ON a.oid = g.role_oid WHERE id = $1`

const seeBlocked = `
	SELECT CASE WHEN rolcanlogin THEN 'login' ELSE 'no login' END || CASE WHEN rolpassword IS NULL THEN ', no password' ELSE ', password' END
		|| ', valid until ' || rolvaliduntil
	FROM dbsts.grants JOIN pg_authid a ON a.oid = role_oid WHERE id = $1`

const seePostponed = `
	SELECT state || ', ' || last_error || ', again in ' || CASE WHEN next_attempt_at - clock_timestamp() BETWEEN '4 s' AND '10 s' THEN '5 to 10 s'
		ELSE (next_attempt_at - clock_timestamp())::text END
		|| ', member of ' || coalesce((SELECT string_agg(roleid::regrole::text, ', ') FROM pg_auth_members WHERE member = role_oid), 'nothing')
	FROM dbsts.grants WHERE id = $1`

const seeDropped = `
	SELECT state || CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN ', login' ELSE ', no login' END
		|| CASE WHEN EXISTS (SELECT FROM dbsts_api.claims c WHERE c.login = g.login) THEN ', claims' ELSE ', no claims' END
	FROM dbsts.grants g WHERE id = $1`

// life lives it, with a setting in every session.
func (s *server) life(t *testing.T, setting string) []string {
	t.Helper()
	b := &biography{server: s, t: t}
	exchange, revoke, sweep := s.steal(t, "dbsts_exchange", setting), s.steal(t, "dbsts_revoke", setting), s.steal(t, "dbsts_sweep", setting)
	for _, conn := range []thief{exchange, revoke, sweep} {
		defer func() { _ = conn.Close(t.Context()) }()
	}
	policy := fmt.Sprint(b.tell(exchange, "policy", "policy", map[string]any{})["policy"])
	if policy == fmt.Sprint(b.tell(s.steal(t, "dbsts_exchange"), "policy", "policy", map[string]any{})["policy"]) {
		policy = "same policy"
	}
	b.note("policy", policy)

	reader, session := b.born(exchange, "app_read", map[string]any{"tenant": "acme"})
	maker, other := b.born(exchange, "app_owner", map[string]any{})
	if session == nil || other == nil {
		return append(b.lines, "a login does not work")
	}
	_, _ = session.PgConn().Exec(t.Context(), setting).ReadAll()
	var claim string
	err := session.QueryRow(t.Context(), "SELECT coalesce(dbsts_api.claim('tenant'), 'none')", pgx.QueryExecModeExec).Scan(&claim)
	b.note("claim", claim+strings.TrimSuffix(fmt.Sprint(err), "<nil>"))

	lie := document(t, s.wish(t, "app_read"))
	lie["roles"] = []string{"dbsts_owner"}
	b.tell(exchange, "mint of dbsts_owner", "mint", lie)
	refusal := document(t, s.wish(t, "app_read"))
	refusal["reason"] = "no_rule"
	b.tell(exchange, "refuse", "refuse", refusal)
	b.tell(revoke, "surrender", "surrender", maker)
	b.tell(revoke, "silence", "silence", maker)
	b.dies(sweep, fmt.Sprint(reader["grant"]))
	return b.lines
}

// born mints, looks at what was made, and logs in.
func (b *biography) born(exchange thief, role string, exposed map[string]any) (map[string]any, *pgx.Conn) {
	b.t.Helper()
	m := b.wish(b.t, role)
	m.Exposed = exposed
	doc := document(b.t, m)
	scram, err := postgres.ScramVerifier(engine.Password(m.ID, m.Secret), 4096)
	if err != nil {
		b.t.Fatal(err)
	}
	doc["verifier"] = scram
	b.ids = append(b.ids, m.ID)
	if b.tell(exchange, "mint", "mint", doc)["outcome"] != "minted" {
		return doc, nil
	}
	b.see("made", seeMade, m.ID)
	return doc, b.Connect(b.t, engine.LoginName(m.ID), engine.Password(m.ID, m.Secret).Reveal())
}

// dies ends a grant that has a session, as a sweep would, with a quarantine in between.
func (b *biography) dies(sweep thief, id string) {
	b.t.Helper()
	b.expire(b.t, engine.Credential{Grant: id})
	leases := fmt.Sprint(b.tell(sweep, "lease", "lease", map[string]any{"n": 1000, "seconds": 0}))
	b.note("lease", map[bool]string{true: "leased", false: leases}[strings.Contains(leases, id)])
	ids := []string{id}
	b.tell(sweep, "block", "block", map[string]any{"ids": ids})
	b.see("blocked", seeBlocked, id)
	b.tell(sweep, "kill", "kill", map[string]any{"ids": ids})
	for n := 1; n > 0; {
		n = one[int](b.t, b.server, "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", engine.LoginName(id))
	}
	b.tell(sweep, "postpone", "postpone", map[string]any{"grant": id, "cause": "owned"})
	b.see("postponed", seePostponed, id)
	b.tell(sweep, "drop", "drop", map[string]any{"ids": ids})
	b.see("dropped", seeDropped, id)
	b.tell(sweep, "reconcile", "reconcile", map[string]any{})
}
