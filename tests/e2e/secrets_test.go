package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What every token carries and every log must lack.
const (
	mailDomain = "mail.test"
	whim       = "because the auditor of ticket 4711 asked" // a caller's reason
)

// needles are what was on the wire and must be in no log.
type needles struct {
	mu     sync.Mutex
	wire   map[string]bool // secrets, and payloads and signatures of tokens: words of [A-Za-z0-9_-]
	claims map[string]bool
}

func (n *needles) add(to *map[string]bool, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if *to == nil {
		*to = map[string]bool{}
	}
	(*to)[text] = true
}

// credential matches the random half of a password, wherever it stands.
var credential = regexp.MustCompile(`dbsts_[a-z2-7]{26}_([a-z2-7]{52})`)

func (n *needles) secret(text string) {
	for _, match := range credential.FindAllStringSubmatch(text, -1) {
		n.add(&n.wire, match[1])
	}
}

func (n *needles) token(text string) {
	for _, part := range strings.Split(text, ".")[1:] { // all headers are alike
		n.add(&n.wire, part)
	}
}

func (n *needles) claim(text string) { n.add(&n.claims, text) }

// word is what a secret or a part of a token is within its surroundings; compact is the beginning of a token.
var (
	word    = regexp.MustCompile(`[A-Za-z0-9_-]{20,}`)
	compact = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.eyJ`)
)

// in lists the lines of a log that hold one of the needles, or what looks like one.
func (n *needles) in(log string, where string) (leaks []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for line := range strings.Lines(log) {
		leaked := credential.MatchString(line) || compact.MatchString(line)
		for _, found := range word.FindAllString(line, -1) {
			for _, part := range append(strings.Split(found, "_"), found) {
				leaked = leaked || n.wire[part]
			}
		}
		if leaked {
			leaks = append(leaks, where+" holds a secret or a token: "+line)
		}
	}
	return leaks
}

// functionLog looks at what all functions wrote: no secret, no token, no verifier, no claim.
func (n *needles) functionLog(log *buffer) []string {
	text := strings.Join(log.since(0), "")
	leaks := n.in(text, "the log of the functions")
	n.mu.Lock()
	defer n.mu.Unlock()
	for line := range strings.Lines(text) {
		if strings.Contains(line, "SCRAM-SHA-256$") || strings.Contains(line, mailDomain) || strings.Contains(line, whim) {
			leaks = append(leaks, "the log of the functions holds a verifier, a claim or a reason: "+line)
		}
		for _, found := range word.FindAllString(line, -1) {
			if n.claims[found] {
				leaks = append(leaks, "the log of the functions holds a subject: "+line)
			}
		}
	}
	return leaks
}

// serverLog looks at what the database server wrote, with log_statement = all: no secret, no token.
func (n *needles) serverLog(s *site) []string {
	text, err := os.ReadFile(s.LogFile)
	if err != nil {
		return []string{"read the server's log: " + err.Error()}
	}
	return n.in(string(text), fmt.Sprintf("the log of PostgreSQL %s", s.version))
}

func TestTheServersLogSeesTheVerifierAndNeitherSecretNorToken(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		a := s.stack.login(t, "analysts", "reason", whim)
		verifier := one[string](t, s, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", a.Username)
		if !strings.HasPrefix(verifier, "SCRAM-SHA-256$4096:") {
			t.Fatalf("the server stores %q", verifier)
		}
		eventually(t, 10*time.Second, "the verifier in the server's log", func() bool {
			text, err := os.ReadFile(s.LogFile)
			must(t, err)
			return strings.Contains(string(text), verifier)
		})
		for _, leak := range slices.Concat(run.spoken.serverLog(s), run.spoken.functionLog(&run.logs)) {
			t.Error(leak)
		}
		if got := one[string](t, s, "SELECT reason FROM dbsts.grants WHERE id = $1", a.GrantID); got != whim {
			t.Errorf("the grant's reason: got %q", got)
		}
	})
}

// The search after the whole run is worth nothing if it finds nothing.
func TestTheSearchForSecretsFindsThem(t *testing.T) {
	var n needles
	const secret = "aaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbb"
	n.secret("postgresql://u:dbsts_aaaaaaaaaaaaaaaaaaaaaaaaaa_" + secret + "@host/db")
	n.token("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEgbG92ZWxhY2UifQ.c2lnbmF0dXJlIG9mIHRoZSBpc3N1ZXI")
	n.claim("p6yqtgvh3zj4m5n6b7v8c9x0a1s")
	for _, line := range []string{
		`{"error":"dbsts_aaaaaaaaaaaaaaaaaaaaaaaaaa_` + secret + `"}`, "password=" + secret, "x_" + secret,
		"token=c2lnbmF0dXJlIG9mIHRoZSBpc3N1ZXI", "payload eyJzdWIiOiJhZGEgbG92ZWxhY2UifQ.", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.",
		"p6yqtgvh3zj4m5n6b7v8c9x0a1s", "ada@" + mailDomain, "SCRAM-SHA-256$4096:salt",
	} {
		var log buffer
		_, _ = fmt.Fprintln(&log, line)
		if len(n.functionLog(&log)) == 0 {
			t.Errorf("not found: %s", line)
		}
	}
	var clean buffer
	_, _ = fmt.Fprintln(&clean, `{"login":"dbsts_pl7iwuh3zhbvr7ypft5273tpxy","issuer":"https://issuer.test","subject_hash":"0123456789abcdef"}`)
	if found := n.functionLog(&clean); len(found) > 0 {
		t.Errorf("found where nothing is: %v", found)
	}
}

func TestBrokerPasswordsAreInNoLog(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		if a := s.stack.login(t, "analysts"); a.status != http.StatusOK {
			t.Fatal(a.status)
		}
		server, err := os.ReadFile(s.LogFile)
		must(t, err)
		logs := strings.Join(run.logs.since(0), "") + string(server)
		logins := s.Config.Servers[0].Logins
		for _, login := range []string{logins.Exchange.User, logins.Revoke.User, logins.Sweep.User} {
			password, err := os.ReadFile(s.dir + "/" + login)
			must(t, err)
			if strings.Contains(logs, strings.TrimSpace(string(password))) {
				t.Errorf("the password of %s is in a log", login)
			}
		}
	})
}
