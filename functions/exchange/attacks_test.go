package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"dbsts/shared/config"
	"dbsts/shared/identity/identitytest"
)

// attacks counts, over all rows, what was tried, and what it cost the issuers.
type attacks struct {
	list           []identitytest.Attack // those that are a token and nothing else
	tried, refused atomic.Int64
	answers        sync.Map // by reason: the one answer of its kind
	mu             sync.Mutex
	providers      []*identitytest.Provider
}

// TestAttacks tries the attacks on the token endpoint that docs/security-model.md lists, each through the whole function:
// event, form, key set over HTTPS, claims, rules. Of every attack it holds the answer, the log line, the requests that
// the issuer's key server saw, and that the database was left alone: untouched before the signature is proven, one
// refusal and nothing else after it.
//
// Not here, for the endpoints do not exist yet: forged and repeated logout tokens and security events (rows 1, 14, 33).
func TestAttacks(t *testing.T) {
	a := &attacks{list: identitytest.Attacks(identitytest.NewClock().Now())}
	type tries []func(*testing.T)
	for _, row := range []struct {
		name  string
		tries tries
	}{
		{"01 alg none and empty signature", tries{a.listed(1)}},
		{"02 HS256 with a public key or a published secret", tries{a.listed(2)}},
		{"03 a key brought along in the header", tries{a.listed(3), a.linkedKeys}},
		{"04 kid as path or SQL", tries{a.listed(4)}},
		{"05 look-alike issuer", tries{a.listed(5)}},
		{"06 another issuer's key under the same kid", tries{a.listed(6), a.swappedKeys}},
		{"07 key server address taken from the token", tries{a.foreignAddresses, a.privateAddress}},
		{"08 redirect to the attacker's keys", tries{a.redirects}},
		{"09 audience missing, foreign or a wildcard", tries{a.listed(9)}},
		{"10 token of another deployment", tries{a.listed(10), a.otherDeployment}},
		{"11 strangers in aud and azp", tries{a.listed(11)}},
		{"12 replay, and other spellings of one token", tries{a.listed(12), a.replays, a.replaysAtOnce, a.replaysAllowed}},
		{"13 missing and endless times", tries{a.listed(13)}},
		{"14 token of another kind", tries{a.listed(14), a.otherKinds}},
		{"15 duplicate and case-variant members", tries{a.listed(15)}},
		{"16 number tricks", tries{a.listed(16)}},
		{"17 name used again by somebody else", tries{a.usedAgain, elsewhere("shared/policy", "TestTheLinter")}},
		{"18 fork or merge request of the project", tries{a.forks}},
		{"19 unverified or retyped e-mail address", tries{a.mails}},
		{"20 pattern that matches too much", tries{a.patterns}},
		{"21 scalar for array, substring for member", tries{a.shapes}},
		{"22 groups left out of the token", tries{a.listed(22), a.leftOut}},
		{"23 empty identity", tries{a.listed(23), a.emptyIdentity}},
		{"24 another path to a mint", tries{elsewhere("tests", "TestOnlyTheExchangeMints")}},
		{"25 encrypted or compressed token", tries{a.listed(25), elsewhere("tests/vectors", "TestVectors")}},
		{"26 huge token, many dots", tries{a.listed(26), a.hugeBodies, a.largestBodies}},
		{"27 flood of unknown kids", tries{a.flood}},
		{"28 hung, dripping or endless key server", tries{a.deadKeyServers, a.deadRefresh}},
		{"29 withdrawn key", tries{a.withdrawn}},
		{"30 weak or wrong-use key", tries{a.listed(30), elsewhere("shared/identity", "TestOnlyKeysFitToVerifyAreKept")}},
		{"31 pattern that costs time", tries{a.slowPatterns, elsewhere("shared/policy", "TestConditionsThatCannotBeUnderstood")}},
		{"32 injection through scope, target and claims", tries{a.injections, elsewhere("functions/exchange", "FuzzWhatReachesTheDatabase")}},
		{"34 revoked user keeps a credential", tries{a.listed(34), a.revokedUser, elsewhere("tests/e2e", "TestRevocationEndsTheOpenSessionBeforeItAnswers")}},
		{"35 secrets in logs, URLs and errors", tries{a.secretsInTheQuery, elsewhere("tests/e2e", "TestTheServersLogSeesTheVerifierAndNeitherSecretNorToken")}},
		{"36 error as an oracle", tries{a.oracles}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, try := range row.tries {
				try(t)
			}
		})
	}
	requests := int64(0)
	for _, p := range a.providers {
		requests += p.Fetches.Load()
	}
	t.Logf("attacks: %d tried, %d refused, requests to issuers: %d", a.tried.Load(), a.refused.Load(), requests)
}

// elsewhere points to the test that tries a row: it fails if that test is gone.
func elsewhere(folder, test string) func(*testing.T) {
	return func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join("..", "..", folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "\nfunc "+test+"(") {
				return
			}
		}
		t.Errorf("%s has no %s", folder, test)
	}
}

// provider is a key server whose requests are counted.
func (a *attacks) provider(t *testing.T, keys ...identitytest.Object) *identitytest.Provider {
	t.Helper()
	return a.count(identitytest.NewProvider(t, identitytest.Set(keys...)))
}

func (a *attacks) count(p *identitytest.Provider) *identitytest.Provider {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.providers = append(a.providers, p)
	return p
}

// ours is the key r that good tokens are signed with.
func ours() identitytest.Object { return identitytest.JWK("r", identitytest.RSAKey().Public(), nil) }

// listed tries the attacks of one row that consist of a token alone, each on a function that has no keys yet and again
// when it has.
func (a *attacks) listed(row int) func(*testing.T) {
	return func(t *testing.T) {
		p, issuer := identitytest.Attacked(t)
		a.count(p)
		found := false
		for _, attack := range a.list {
			if attack.Row() != row {
				continue
			}
			found = true
			t.Run(attack.Name, func(t *testing.T) { a.tokenAlone(t, p, issuer, attack) })
		}
		if !found {
			t.Errorf("no token attacks like row %d", row)
		}
		control(t, a.scene(t, rulesFor(anybody), issuer), p)
	}
}

func (a *attacks) tokenAlone(t *testing.T, p *identitytest.Provider, issuer config.Issuer, attack identitytest.Attack) {
	s := a.scene(t, rulesFor(anybody), issuer)
	want := expected(attack)
	form := wish(attack.Raw)
	if attack.Kind != "" {
		form.Set("subject_token_type", "urn:ietf:params:oauth:token-type:"+attack.Kind)
	}
	mustFetch(t, p, attack.Fetches, func() { s.refuses(t, form, want) })
	if err := s.verifier.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, p, 0, func() { s.refuses(t, form, want) })
	for _, r := range s.ledger.refused {
		if r.Issuer != identitytest.Issuer || r.Target != "shop" || r.PolicyVersion != 0 {
			t.Errorf("on record: %+v", r)
		}
	}
}

// expected is how a listed attack ends. Some do not even make a form, for all to see: that depends on nothing we know.
func expected(attack identitytest.Attack) refusal {
	const tokenCap, bodyCap = 16 << 10, 64 << 10
	form := wish(attack.Raw).Encode()
	switch {
	case attack.Raw == "":
		return refusal{answer: noValue, logged: noValue.Reason}
	case len(form) > bodyCap:
		return refusal{answer: tooLarge, logged: tooLarge.Reason}
	case strings.Contains(attack.Raw, "\x00"):
		return refusal{answer: badForm, logged: badForm.Reason}
	case strings.ContainsAny(attack.Raw, "\t\r\n"):
		return refusal{answer: badValue, logged: badValue.Reason}
	case len(attack.Raw) > tokenCap:
		return unproven(badToken.Reason)
	case attack.Proven:
		return proven(badToken, attack.Reason, attack.Reason)
	}
	return unproven(attack.Reason)
}

// control proves that a scene refuses attacks for what they are: the good token is accepted there.
func control(t *testing.T, s *scene, p *identitytest.Provider) {
	t.Helper()
	mustFetch(t, p, 1, func() { s.accepts(t, wish(token(s.claims(nil)))) })
	mustFetch(t, p, 0, func() { s.accepts(t, wish(token(s.claims(nil)))) })
}

func mustFetch(t *testing.T, p *identitytest.Provider, want int64, during func()) {
	t.Helper()
	before := p.Fetches.Load()
	during()
	if got := p.Fetches.Load() - before; got != want {
		t.Errorf("the issuer saw %d requests, want %d", got, want)
	}
}
