// Package enginetest is the contract of package engine as tests: each engine and server version runs the same suite.
//
// It assumes a fresh installation that nobody else uses, and real sessions over the network. It knows no SQL: statements,
// and what an administrator does, come from the fixture by their meaning. It does not test what only one engine has.
package enginetest

import "testing"

type testCase struct {
	sentence string
	run      func(*scene)
}

// together are the cases that keep apart by roles and identities of their own.
var together = []testCase{
	{"a login has exactly the rights of its roles and PUBLIC's", exactRights},
	{"a login of several roles has the rights of all, and no others", severalRoles},
	{"activation inherit works at once, and cannot become its role", activationInherit},
	{"activation set is powerless until the role is activated, and what it makes belongs to the role", activationSet},
	{"role names may hold anything", hostileNames},
	{"the same id twice is the same credential and one login", sameIDTwice},
	{"the same id at once is the same credential and one login", sameIDAtOnce},
	{"an id that was used is never used again", idNeverTwice},
	{"a decision made on older rules is stale", stalePolicy},
	{"a denial decided on older rules is stale", staleRefusal},
	{"a rule that begins or ends by itself makes older decisions stale", staleByTime},
	{"a role that has become unfit is refused, whatever the catalogue says", spoiltRoles},
	{"a token that may be spent once is spent once by 16 callers", replayOnce},
	{"a lost answer costs no token", replayLostAnswer},
	{"a login can be told to end with its token", endsWithToken},
	{"a denial is put on record", refusalOnRecord},
	{"every step of a grant's life is on record", lifeOnRecord},
	{"a login that the grant's secret surrenders is ended", surrenderEnds},
	{"nothing is surrendered without the secret", surrenderNeedsSecret},
	{"a session reads its own claims", ownClaims},
	{"a session cannot forge its claims", forgedClaims},
	{"claims end when the grant ends", expiredClaims},
}

// alone are the cases that lease everything that is due, or turn what all others depend on.
var alone = []testCase{
	{"every ceiling refuses in its own word, and on record", everyCeiling},
	{"a quota counts what lives or was minted lately", quotas},
	{"refusals beyond the limit are marked once and not recorded, and other issuers do not notice", refusalsLimited},
	{"a flood of one identity delays no other", floodDelaysNobody},
	{"no session survives its end, whatever it does, and none comes back", noSessionSurvives},
	{"each step may be repeated, also when the login is gone", stepsRepeat},
	{"an end that is not proven is refused", dropNeedsProof},
	{"a login that owns objects is quarantined, tried again, and dropped when it can be", quarantineOwned},
	{"a login with a prepared transaction is quarantined, tried again, and dropped when it can be", quarantinePrepared},
	{"what is not due is not leased", leaseOnlyDue},
	{"two enders share the work, and take over what one has left", leaseShares},
	{"an epoch refuses older tokens, and ends the grants made with them", epochs},
	{"a login without a row is ended", orphans},
	{"a row without a login is ended", vanished},
	{"logins that are not ours are left alone", strangersLeftAlone},
	{"mints of 16 callers do not disturb each other, nor the sweeps beside them", mintsWhileSweeping},
}

// Run runs the suite. The fixture is of no use for anything else afterwards.
func Run(t *testing.T, f Fixture) {
	t.Run("together", func(t *testing.T) {
		for _, c := range together {
			t.Run(c.sentence, func(t *testing.T) {
				t.Parallel()
				c.run(newScene(t, f))
			})
		}
	})
	t.Run("alone", func(t *testing.T) {
		for _, c := range alone {
			t.Run(c.sentence, func(t *testing.T) { c.run(newScene(t, f)) })
		}
	})
}
