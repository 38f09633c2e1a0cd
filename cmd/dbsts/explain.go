package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"time"

	"dbsts/shared/broker"
	"dbsts/shared/config"
	"dbsts/shared/identity"
	"dbsts/shared/oauth"
	"dbsts/shared/policy"
)

// leastLifetime is the shortest lifetime of a login, as policy and database have it.
const leastLifetime = 30 * time.Second

// question is what explain is asked.
type question struct {
	config, target, kind, token, claims, issuer, doc string
	roles                                            []string
	ttl                                              int
	asJSON                                           bool
}

// answer is what explain says.
type answer struct {
	Allowed  bool             `json:"allowed"`
	Reason   string           `json:"reason,omitempty"` // as in the audit trail
	Error    string           `json:"error,omitempty"`  // as the caller would get it
	Hint     string           `json:"hint,omitempty"`   // what in the configuration has to do with it
	Subject  *subject         `json:"subject,omitempty"`
	Unproven json.RawMessage  `json:"unproven,omitempty"` // what a token says whose signature is not known to be good
	Target   string           `json:"target"`
	Server   string           `json:"server,omitempty"`
	Version  int64            `json:"policy_version,omitempty"`
	Asked    asked            `json:"asked"`
	Roles    []string         `json:"roles,omitempty"`
	Lifetime int              `json:"lifetime,omitempty"` // seconds
	Identity string           `json:"identity,omitempty"`
	Rules    []policy.Verdict `json:"rules,omitempty"` // all of the issuer and the target
	Unasked  []string         `json:"not_checked"`     // what only the exchange itself would check
}

type asked struct {
	Roles []string `json:"roles,omitempty"`
	TTL   int      `json:"ttl,omitempty"` // seconds
}

// explain decides as the exchange would, and tells why. It mints nothing and writes nothing to the database.
func explain(ctx context.Context, args []string, t terminal) (int, error) {
	q, err := ask(args)
	if err != nil {
		return 0, err
	}
	cfg, err := config.Load(configPath(q.config))
	if err != nil {
		return 0, err
	}
	a, err := q.answer(ctx, cfg, t)
	if err != nil {
		return 0, err
	}
	code := exitRefused
	if a.Allowed {
		code = exitDone
	}
	if q.asJSON {
		return code, printJSON(t.out, a)
	}
	a.print(t.out, t.now())
	return code, nil
}

// ask reads the command line.
func ask(args []string) (question, error) {
	var q question
	flags, path := flagSet("explain")
	flags.StringVar(&q.target, "target", "", "")
	flags.Func("role", "", func(role string) error { q.roles = append(q.roles, role); return nil })
	flags.IntVar(&q.ttl, "ttl", 0, "")
	flags.StringVar(&q.kind, "kind", "id_token", "")
	flags.StringVar(&q.token, "token", "-", "")
	flags.StringVar(&q.claims, "claims", "", "")
	flags.StringVar(&q.issuer, "issuer", "", "")
	flags.StringVar(&q.doc, "doc", "", "")
	flags.BoolVar(&q.asJSON, "json", false, "")
	if err := parse(flags, args); err != nil {
		return question{}, err
	}
	q.config = *path
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	wrong := ""
	switch {
	case q.target == "":
		wrong = "-target is missing"
	case q.ttl < 0 || given["ttl"] && q.ttl == 0:
		wrong = "-ttl is a number of seconds from 1"
	case kinds[q.kind] == 0:
		wrong = "-kind is id_token, jwt or access_token"
	case given["claims"] && (given["token"] || given["kind"]):
		wrong = "-claims stands for the token: leave -token and -kind out"
	case given["issuer"] && !given["claims"]:
		wrong = "-issuer belongs to -claims: a token says its own"
	case q.doc == "-" && (q.claims == "-" || q.claims == "" && q.token == "-"):
		wrong = "standard input cannot be two things: name a file"
	default:
		return q, nil
	}
	return question{}, fmt.Errorf("%w: %s", errUsage, wrong)
}

// answer goes the way of an exchange up to the decision. The error says that there is none.
func (q question) answer(ctx context.Context, cfg config.Config, t terminal) (answer, error) {
	a := answer{Target: q.target, Asked: asked{q.roles, q.ttl}, Unasked: []string{"replay", "revocation", "freeze", "quotas"}}
	var refused error
	if q.claims != "" {
		a.Unasked = append([]string{"signature", "audience", "age"}, a.Unasked...)
		refused = a.readClaims(q, cfg, t.in)
	} else {
		refused = a.readToken(ctx, q, cfg, t)
	}
	var bad *identity.Error
	switch {
	case errors.As(refused, &bad) && errors.Is(bad, identity.ErrInvalid):
		return a.refuse(refused, bad.Reason), nil
	case refused != nil && bad != nil && bad.Cause != nil:
		return a, fmt.Errorf("%w: %w", refused, bad.Cause)
	case refused != nil:
		return a, refused
	}
	_, server, known := cfg.Target(q.target)
	if !known {
		a.Hint = "the configuration has no such target"
		return a.refuse(broker.ErrUnknownTarget, "target_unknown"), nil
	}
	return a.decide(ctx, q, server, t)
}

// decide asks the rules.
func (a answer) decide(ctx context.Context, q question, server config.Server, t terminal) (answer, error) {
	var book rulebook
	var err error
	if q.doc != "" {
		book, err = fromDocument(q.doc, t.in)
	} else {
		book, err = fromServer(ctx, server)
	}
	if err != nil {
		return a, err
	}
	a.Server, a.Version = server.Name, book.Version
	request := policy.Request{
		Issuer: a.Subject.Issuer, Target: q.target, Claims: a.Subject.claims, Overage: a.Subject.Overage,
		Roles: q.roles, Lifetime: time.Duration(q.ttl) * time.Second,
	}
	decision, denial := book.set.Decide(request)
	a.Rules = book.set.Explain(request)
	if denial != nil {
		return a.refuse(denial, decision.Reason), nil
	}
	a.Identity = a.Subject.Identity
	if decision.Identity != "" {
		var named bool
		if a.Identity, named = identity.Name(a.Subject.claims, decision.Identity); !named {
			a.Hint = "the rules take the identity from " + decision.Identity + ", and the token has no such text"
			return a.refuse(identity.ErrInvalid, identity.ReasonIdentityMissing), nil
		}
	}
	lifetime := decision.Lifetime
	if a.Subject.terms.EndWithToken && a.Subject.Expires != nil {
		lifetime = min(lifetime, a.Subject.Expires.Sub(t.now()).Truncate(time.Second))
	}
	if lifetime < leastLifetime {
		a.Hint = "end_with_token: the token has " + lifetime.String() + " left"
		return a.refuse(policy.ErrLifetime, "lifetime_too_short"), nil
	}
	a.Allowed, a.Roles, a.Lifetime = true, decision.Roles, int(lifetime/time.Second)
	return a, nil
}

// refuse adds why, and what the caller would get: the word of the one error table.
func (a answer) refuse(err error, reason string) answer {
	var body struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(oauth.FromError(err, "").Body, &body) == nil {
		a.Error = body.Error
	}
	a.Reason = reason
	return a
}
