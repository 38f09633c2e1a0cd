package enginetest

import (
	"context"
	"time"

	"dbsts/shared/engine"
)

// Fixture is a server with dbsts freshly installed, as the suite sees it. Its methods act with the server's highest
// account and are safe for concurrent use.
type Fixture interface {
	Engines
	Owner
	Ledger
	Catalog
	// Speech gives the statements of this engine's SQL.
	Speech() Speech
}

// Engines are the broker's ways to the server, each through the account of its own function, for many callers at once.
type Engines interface {
	Minter() engine.Minter
	Revoker() engine.Revoker
	Ender() engine.Ender
	// Login opens a session of the target's database, over the network, as a client would.
	Login(ctx context.Context, user, password string) (Session, error)
}

// Session is one session of a login. Not safe for concurrent use.
type Session interface {
	// Exec runs a statement and throws its rows away.
	Exec(ctx context.Context, statement string) error
	// Query gives the first column of the first row as text; null is "".
	Query(ctx context.Context, statement string) (string, error)
	Close()
}

// Owner is what the people do who own the database and its policy.
type Owner interface {
	// MakeRole makes a role that may enter the target's database and do what May says there, and puts it in the catalogue.
	MakeRole(ctx context.Context, role Role) error
	// PutRule writes a rule: a new one, or the next version of the one that has its id.
	PutRule(ctx context.Context, rule Rule) error
	// Amend changes a role's catalogue row.
	Amend(ctx context.Context, role string, enabled bool, maxTTL int) error
	// Spoil does to a registered role what must not be done to one, behind the catalogue's back.
	Spoil(ctx context.Context, role string, how Flaw) error
	// Limit replaces quotas and freeze switch.
	Limit(ctx context.Context, limits Limits) error
	// SetEpoch ends the tokens that were issued at or before an instant.
	SetEpoch(ctx context.Context, epoch Epoch) error
}

// Ledger looks into the ledger and turns its clocks.
type Ledger interface {
	// Row is the ledger's row of a grant; the zero Row if there is none.
	Row(ctx context.Context, grant string) (Row, error)
	// Events are the audit rows of an identity, oldest first.
	Events(ctx context.Context, identity string) ([]Event, error)
	// Backdate moves a grant's beginning and end into the past; its login is as it was.
	Backdate(ctx context.Context, grant string, by time.Duration) error
	// Hurry makes a postponed grant due now.
	Hurry(ctx context.Context, grant string) error
	// Forget deletes the row of a grant, as a restored ledger would have lost it.
	Forget(ctx context.Context, grant string) error
}

// Catalog looks into the server's own catalog and changes it behind dbsts's back.
type Catalog interface {
	// Rights lists what an account may do anywhere on the server, itself or through a role that is active without its
	// doing, a line for each right; "" is PUBLIC.
	Rights(ctx context.Context, account string) ([]string, error)
	// Exists tells whether the server knows a login.
	Exists(ctx context.Context, login string) (bool, error)
	// Remove drops a login, as a person in a hurry would.
	Remove(ctx context.Context, login string) error
	// Plant makes logins that look like ours and are not: another installation's, one without a marker, …
	Plant(ctx context.Context) ([]string, error)
	// Release removes what keeps a login from being dropped: what it owns, its prepared transactions.
	Release(ctx context.Context, login string) error
}

// Role is a role of the database and its row of the catalogue.
type Role struct {
	Name       string
	Target     string
	Activation string // inherit | set
	MaxTTL     int    // seconds
	May        []Right
}

// Right is something that a role may do in the target's database; Speech has a statement that needs it.
type Right int

// The rights that a role can be made with.
const (
	Read Right = iota
	Write
	Create
)

// Flaw is a change of a role that makes it unfit to be handed out.
type Flaw int

// The flaws.
const (
	Superuser Flaw = iota // it becomes a superuser
	CanLogin              // it may log in
	WritesAll             // it gets a system role that writes everything
	Replaced              // it is dropped and made again, with the same rights
)

// Rule is a row of the rules. Its conditions do not matter here: the caller has decided.
type Rule struct {
	ID       string
	Issuer   string
	Target   string
	Deny     bool
	Disabled bool
	Roles    []string
	MaxTTL   int // seconds
	Expose   []string
	From     time.Time // zero: since ever
	Until    time.Time // zero: for ever
}

// Limits are the quotas, 0 for no limit, and the freeze switch.
type Limits struct {
	LivePerIdentity        int
	MintsPerIdentityMinute int
	MintsPerIssuerMinute   int
	LivePerTarget          int
	RefusalsPerIssuer      int // that go on record in one minute
	Frozen                 bool
}

// Epoch ends the tokens of an issuer, a subject or a session.
type Epoch struct {
	Issuer    string // * for all
	Kind      string // sub | sid | *
	Value     string
	NotBefore time.Time
}

// Row is what the ledger knows of a grant.
type Row struct {
	State     string
	Cause     string
	LastError string
	Attempts  int
	Sessions  int // most seen at once when it was ended
}

// Event is an audit row.
type Event struct {
	Grant   string
	Event   string
	Outcome string
	Reason  string
}

// Speech is one engine's SQL, by meaning. A statement that needs a right is refused without it.
type Speech struct {
	Issuer    string // an https URL
	Target    string
	Elsewhere string // a second target of the same server, in another database than the home database

	Entry []string // the rights of Catalog.Rights that a login needs to enter the target's database
	Read  string   // needs Read
	Write string   // needs Write
	Self  string   // answers the account that the session began with

	Make   func(table string) string // needs Create
	Maker  func(table string) string // answers the owner of a table
	Become func(role string) string  // activates a role
	Claim  func(name string) string  // answers one verified claim of the session
	Own    string                    // makes an object that belongs to the login itself
	Stay   []string                  // leave a transaction behind that outlives its session

	// SwitchesAnyway: on this server a login of activation inherit can activate its roles by itself as well.
	SwitchesAnyway bool
	Forgeries      []string // attempts to change what Claim answers
	Occupations    []Occupation
}

// Occupation is a way in which a session may be busy when it is to be ended.
type Occupation struct {
	Name       string
	Activation string   // of the role that the login gets
	Begin      []string // statements; %s is the role. Their errors do not matter
	Last       string   // one that does not return before the session ends; "": the session is idle
}
