package policy

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"dbsts/shared/engine"
)

// rule is one row, ready to be tried.
type rule struct {
	engine.Rule
	effect   string
	deny     bool // anything but allow
	when     []condition
	gives    []*role  // allow: what the catalogue holds of the rule's roles, in their order
	names    []string // names of gives
	missing  []string // the rule's roles that the catalogue lacks
	defaults []*role  // the part of gives that is given unasked
	maxTTL   time.Duration
	identity string
	expose   []string
	broken   string // why the rule cannot be understood; empty: it can
}

func (r *rule) givesAny(roles []*role) bool {
	return slices.ContainsFunc(roles, func(role *role) bool { return slices.Contains(r.gives, role) })
}

// Compile reads a policy document: {"rules": [...], "roles": [...]} as engine.Policy.Doc carries it. A row that it
// cannot understand is set aside as Broken. The error means that the document as a whole is unusable: no JSON, or a row
// without the strings that say where it belongs.
func Compile(doc []byte) (*Set, error) {
	v, err := parse(doc)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	top, _ := v.(object) // other members are left alone: what changes a rule's meaning must stand in the rule
	if top.twice != "" {
		return nil, fmt.Errorf("policy: member %q comes twice", top.twice)
	}
	s := &Set{groups: map[scope]*group{}, roles: map[string]map[string]*role{}}
	rows, err := top.array("roles")
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	for i, row := range rows {
		if err = s.addRole(row); err != nil {
			return nil, fmt.Errorf("policy: role %d: %w", i, err)
		}
	}
	if rows, err = top.array("rules"); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	for i, row := range rows {
		if err = s.addRule(row); err != nil {
			return nil, fmt.Errorf("policy: rule %d: %w", i, err)
		}
	}
	for _, g := range s.groups {
		g.finish()
	}
	return s, nil
}

// addRole enters one catalogue row.
func (s *Set) addRole(row any) error {
	o, _ := row.(object)
	if o.twice != "" {
		return fmt.Errorf("member %q comes twice", o.twice)
	}
	var target, name, activation string
	if err := errors.Join(o.text("target", &target), o.text("role", &name)); err != nil {
		return err
	}
	if s.roles[target] == nil {
		s.roles[target] = map[string]*role{}
	}
	if _, twice := s.roles[target][name]; twice {
		return fmt.Errorf("%q of %q comes twice", name, target)
	}
	r := &role{name: name}
	err := errors.Join(o.only("target", "role", "activation", "max_ttl"), o.text("activation", &activation), maxTTL(o, &r.maxTTL))
	if err == nil && activation != "inherit" && activation != "set" {
		err = fmt.Errorf("activation: unknown value %q", activation)
	}
	if err != nil {
		s.broken = append(s.broken, Broken{Target: target, Role: name, Reason: oneLine(err)})
		s.roles[target][name] = nil
		return nil
	}
	r.set = activation == "set"
	s.roles[target][name] = r
	return nil
}

// addRule enters one rule row.
func (s *Set) addRule(row any) error {
	o, _ := row.(object)
	if o.twice != "" { // to which issuer, target and effect does it belong?
		return fmt.Errorf("member %q comes twice", o.twice)
	}
	var r rule
	var at scope
	if err := errors.Join(o.text("id", &r.ID), o.text("issuer", &at.issuer), o.text("target", &at.target)); err != nil {
		return err
	}
	g := s.groups[at]
	if g == nil {
		g = newGroup()
		s.groups[at] = g
	}
	if err := s.parseRule(o, at.target, &r); err != nil {
		r.broken = oneLine(err)
		s.broken = append(s.broken, Broken{
			Rule: r.Rule, Effect: r.effect, Issuer: at.issuer, Target: at.target, Reason: r.broken,
		})
	}
	g.add(&r)
	return nil
}

// parseRule fills r. On an error, r still has what tells whether the rule would deny.
func (s *Set) parseRule(o object, target string, r *rule) error {
	r.deny = true // until it is known to allow: a rule of unknown effect must not be passed over
	if err := o.text("effect", &r.effect); err != nil {
		return err
	}
	r.deny = r.effect != "allow"
	if r.deny && r.effect != "deny" {
		return fmt.Errorf("effect: unknown value %q", r.effect)
	}
	var roles, defaults []string
	err := errors.Join(
		o.only("id", "version", "effect", "issuer", "target", "match", "roles", "default_roles", "max_ttl", "identity", "expose"),
		o.count("version", math.MaxInt64, &r.Version), o.texts("roles", &roles), o.texts("default_roles", &defaults),
		o.texts("expose", &r.expose), maxTTL(o, &r.maxTTL), r.parseMatch(o))
	if err != nil {
		return err
	}
	if r.Version == 0 {
		return errors.New("version: want a whole number from 1")
	}
	if o.members["identity"] != nil {
		if err := o.text("identity", &r.identity); err != nil {
			return err
		}
		if err := checkClaim("identity", r.identity); err != nil {
			return err
		}
	}
	for _, claim := range r.expose {
		if err := checkClaim("expose", claim); err != nil {
			return err
		}
	}
	if r.deny {
		return nil // denies the target as a whole, whatever roles it names
	}
	return s.give(target, r, roles, defaults)
}

// parseMatch reads the conditions. No condition at all would accept every token of a shared issuer.
func (r *rule) parseMatch(o object) error {
	list, err := o.array("match")
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("match: no condition")
	}
	for i, v := range list {
		c, err := parseCondition(v)
		if err != nil {
			return fmt.Errorf("match %d: %w", i, err)
		}
		r.when = append(r.when, c)
	}
	return nil
}

// give resolves an allow rule's roles in the catalogue. defaults nil: all of them.
func (s *Set) give(target string, r *rule, roles, defaults []string) error {
	if len(roles) == 0 {
		return errors.New("roles: an allow rule gives at least one")
	}
	for _, name := range defaults {
		if !slices.Contains(roles, name) {
			return fmt.Errorf("default_roles: %q is not among the rule's roles", name)
		}
	}
	for _, name := range roles {
		role := s.roles[target][name]
		if role == nil {
			r.missing = append(r.missing, name)
			continue
		}
		r.gives, r.names = append(r.gives, role), append(r.names, name)
		if defaults == nil || slices.Contains(defaults, name) {
			r.defaults = append(r.defaults, role)
		}
	}
	return nil
}

// oneLine joins what errors.Join keeps on lines of their own.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// maxTTL reads seconds; int32 as in the table, so that a time.Duration cannot overflow.
func maxTTL(o object, into *time.Duration) error {
	seconds := int64(defaultLifetime / time.Second)
	err := o.count("max_ttl", math.MaxInt32, &seconds)
	*into = time.Duration(seconds) * time.Second
	return err
}
