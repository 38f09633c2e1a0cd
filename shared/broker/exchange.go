package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dbsts/shared/engine"
	"dbsts/shared/identity"
	"dbsts/shared/policy"
)

// exchangeBudget bounds one exchange: keys 2 s and dial 3 s leave room for one statement, and the caller hears of a dead
// dependency within 6 s.
const exchangeBudget = 5500 * time.Millisecond

// maxDecisions is how often an exchange decides anew because rules changed under it. Each new round needs another
// change within milliseconds.
const maxDecisions = 4

// Verifier is what proves a token (package identity).
type Verifier interface {
	Verify(ctx context.Context, raw string, kind identity.Kind) (identity.Token, error)
}

// Terms are what the configuration says about the grants of one issuer.
type Terms struct {
	Replay       string // allow | reject
	EndWithToken bool
}

// Place is a target: where its database is, and the server that mints for it.
type Place struct {
	Engine string
	Host   string
	Port   int
	Server *Server
}

// Exchanger is the use case behind POST /token. Safe for concurrent use.
type Exchanger struct {
	verifier Verifier
	terms    map[string]Terms // by issuer
	places   map[string]Place // by target
	lost     *Server          // keeps the record of refusals for targets that do not exist
}

// NewExchanger puts the use case together. The maps must not change afterwards. Refusals for targets that nobody has
// configured go on record at lost, so that they are neither forgotten nor quicker than others.
func NewExchanger(verifier Verifier, terms map[string]Terms, places map[string]Place, lost *Server) *Exchanger {
	return &Exchanger{verifier: verifier, terms: terms, places: places, lost: lost}
}

// Exchange turns a token into a login. Errors: *identity.Error, *DeniedError, or an engine sentinel; then nothing was minted
// that anybody holds the password of.
func (x *Exchanger) Exchange(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeBudget)
	defer cancel()

	// 1. For which database? Whether there is one is told to nobody whose token is not proven.
	place, known := x.places[r.Target]
	if !known {
		place.Server = x.lost
	}

	// 2. Who asks? Until the signature is proven, nothing is written anywhere but in the log.
	token, err := x.verifier.Verify(ctx, r.Token.Reveal(), r.Kind)
	if err != nil {
		return Answer{}, refuseToken(ctx, place.Server, r, err)
	}
	if !known {
		who, _ := subject(token, policy.Decision{}, r)
		recorded := x.lost.minter.Refuse(ctx, engine.Refusal{Subject: who, Target: r.Target, Reason: "target_unknown"})
		return Answer{}, &DeniedError{Token: token, Err: ErrUnknownTarget, Unrecorded: recorded}
	}

	credential, err := x.grant(ctx, place.Server, token, r)
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		Credential: credential, Target: r.Target, Engine: place.Engine, Host: place.Host, Port: place.Port,
		Issuer: token.Issuer, Subject: token.Subject,
	}, nil
}

// grant decides and mints, and does both again when the rules change in between.
func (x *Exchanger) grant(ctx context.Context, server *Server, token identity.Token, r Request) (engine.Credential, error) {
	none := engine.Credential{}
	var stale *rules
	for range maxDecisions {
		// 3. By which rules? The cached ones, unless the database has just called them stale.
		current, err := server.rules(ctx, stale)
		if err != nil {
			return none, err
		}
		stale = current

		// 4. What may they have? A denial goes on record before it is told.
		decision, denial := current.set.Decide(policy.Request{
			Issuer: token.Issuer, Target: r.Target, Claims: token.Claims, Overage: token.Overage, Roles: r.Roles, Lifetime: r.Lifetime,
		})
		who, named := subject(token, decision, r)
		if denial == nil && !named {
			denial, decision.Reason = &identity.Error{Reason: identity.ReasonIdentityMissing, Proven: true, Token: token}, identity.ReasonIdentityMissing
		}
		if denial != nil {
			recorded := server.minter.Refuse(ctx, refusal(who, r, decision, current))
			if errors.Is(recorded, engine.ErrStalePolicy) {
				continue
			}
			return none, &DeniedError{Token: token, Err: denial, Unrecorded: recorded}
		}

		// 5. Mint: the database checks every ceiling again, and refuses a decision made on rules that have changed.
		credential, err := server.minter.Mint(ctx, x.wish(who, r, decision, current))
		switch {
		case err == nil:
			return credential, nil
		case errors.Is(err, engine.ErrStalePolicy):
			continue
		case errors.Is(err, engine.ErrRefused):
			return none, &DeniedError{Token: token, Err: err}
		default:
			return none, fmt.Errorf("exchange for %s: %w", r.Target, err)
		}
	}
	return none, fmt.Errorf("%w: rules changed %d times during one exchange", engine.ErrUnavailable, maxDecisions)
}

// refuseToken puts the refusal of a token on record if its signature was good. If the database cannot be reached the
// refusal stands all the same.
func refuseToken(ctx context.Context, server *Server, r Request, err error) error {
	var bad *identity.Error
	if !errors.As(err, &bad) || !bad.Proven {
		return err
	}
	who, _ := subject(bad.Token, policy.Decision{}, r)
	recorded := server.minter.Refuse(ctx, engine.Refusal{Subject: who, Target: r.Target, Reason: bad.Reason})
	return &DeniedError{Token: bad.Token, Err: err, Unrecorded: recorded}
}

// subject is who asks. It reports whether the claim that rules name as the identity is there and can identify somebody.
func subject(t identity.Token, d policy.Decision, r Request) (engine.Subject, bool) {
	who, named := t.Identity, true
	if d.Identity != "" {
		who, named = identity.Name(t.Claims, d.Identity)
	}
	return engine.Subject{
		Issuer: t.Issuer, Identity: who, Subject: t.Subject, SID: t.SID, TokenKey: t.Key,
		IssuedAt: t.IssuedAt.Unix(), Expires: t.Expires.Unix(), SourceIP: r.SourceIP, Request: r.RequestID,
	}, named
}

func refusal(who engine.Subject, r Request, d policy.Decision, current *rules) engine.Refusal {
	return engine.Refusal{
		Subject: who, Target: r.Target, Reason: d.Reason, PolicyVersion: current.version, PolicyAsOf: current.asOf,
		Detail: map[string]any{"asked": r.Roles, "stated": r.Reason, "tried": d.Tried, "rules": d.Trace},
	}
}

func (x *Exchanger) wish(who engine.Subject, r Request, d policy.Decision, current *rules) engine.Mint {
	terms := x.terms[who.Issuer]
	return engine.Mint{
		Subject: who, ID: engine.NewGrantID(), Target: r.Target, Secret: engine.NewSecret(), Roles: slices.Clone(d.Roles), Rules: d.Rules,
		Lifetime: int(d.Lifetime / time.Second), PolicyVersion: current.version, PolicyAsOf: current.asOf,
		Claims: d.Claims, Exposed: d.Exposed, Replay: terms.Replay, EndWithToken: terms.EndWithToken, Reason: r.Reason,
	}
}
