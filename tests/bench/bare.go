package bench

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"dbsts/shared/engine"
	"dbsts/tests/servers"
	"dbsts/tests/shop"
)

// Identities in the ledger: a visitor's logins are ended by Clean, a resident's stay.
const (
	Visitor  = "visitor"
	Resident = "resident"
)

// Versions are the servers that the targets name.
var Versions = []string{"18", "15"}

// Clients is how many clients work side by side where several do.
const Clients = 16

// Mint is the routine, bare: called through pgx as the exchange function's login, with a ready document that holds a ready
// verifier. Safe for concurrent use.
type Mint struct {
	Shop   *shop.Shop
	pool   *pgxpool.Pool
	admin  *pgx.Conn
	policy engine.Policy
}

// Open makes a durable server of that version with the shop in it, without quotas.
func Open(b *testing.B, version string) *Mint {
	b.Helper()
	s := shop.Open(b, shop.Options{Options: servers.Options{Version: version, Durable: true}})
	m := &Mint{Shop: s, admin: s.Admin(b)}
	_, err := m.admin.Exec(b.Context(), `UPDATE dbsts.policy SET live_per_identity = NULL, mints_per_identity_minute = NULL,
		mints_per_issuer_minute = NULL, live_per_target = NULL`)
	if err != nil {
		b.Fatal(err)
	}
	if m.policy, err = s.Engine(b, s.Logins().Exchange, 1).Policy(b.Context()); err != nil {
		b.Fatal(err)
	}
	if m.pool, err = m.connect(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(m.pool.Close)
	return m
}

func (m *Mint) connect(ctx context.Context) (*pgxpool.Pool, error) {
	login := m.Shop.Logins().Exchange
	password, err := login.Password()
	if err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(m.Shop.DSN(login.User, password.Reveal(), shop.Database))
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = Clients
	return pgxpool.NewWithConfig(ctx, cfg)
}

// Version is the server's.
func (m *Mint) Version() string { return m.Shop.Version }

// Document is what mint takes, for one more login of the shop's analysts.
func (m *Mint) Document(identity string, lifetime time.Duration) (string, error) {
	now := time.Now()
	doc, err := json.Marshal(struct {
		engine.Mint
		Server     string `json:"server"`
		Verifier   string `json:"verifier"`
		SecretHash string `json:"secret_hash"`
	}{
		Mint: engine.Mint{
			Subject: engine.Subject{
				Issuer: shop.Issuer, Identity: identity, Subject: identity, TokenKey: "jti:bench", IssuedAt: now.Unix(), Expires: now.Add(time.Hour).Unix(),
				SourceIP: "192.0.2.7", Request: "JKJaXmPLvHcESH1=",
			},
			ID: engine.NewGrantID(), Target: shop.Target, Roles: []string{"app_read"}, Rules: []engine.Rule{{ID: "analysts", Version: 1}},
			Lifetime: int(lifetime.Seconds()), PolicyVersion: m.policy.Version, PolicyAsOf: m.policy.AsOf,
			Claims: map[string]any{"groups": []string{"everyone", "staff", "analysts"}}, Exposed: map[string]any{"tenant": "acme"}, Replay: "allow",
		},
		Server: m.Shop.Address(), Verifier: verifier(), SecretHash: hash(identity),
	})
	return string(doc), err
}

// Call mints with a document.
func (m *Mint) Call(ctx context.Context, doc string) error {
	var answer struct{ Outcome, Reason string }
	var raw []byte
	if err := m.pool.QueryRow(ctx, "SELECT dbsts.mint($1::jsonb)", doc).Scan(&raw); err != nil {
		return fmt.Errorf("mint: %w", err)
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("mint's answer: %w", err)
	}
	if answer.Outcome != "minted" {
		return errors.New("not minted: " + answer.Outcome + " " + answer.Reason)
	}
	return nil
}

// Fill mints n logins of one identity, with several clients, and tells how long that took.
func (m *Mint) Fill(ctx context.Context, n int, identity string, lifetime time.Duration) (time.Duration, error) {
	begun := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(Clients)
	for range n {
		group.Go(func() error {
			doc, err := m.Document(identity, lifetime)
			if err != nil {
				return err
			}
			return m.Call(ctx, doc)
		})
	}
	err := group.Wait()
	return time.Since(begun), err
}

// Clean ends the visitor's logins as nobody but a test may, so that the next turn finds the server as this one did.
func (m *Mint) Clean(ctx context.Context) error {
	_, err := m.admin.Exec(ctx, `DO $$ DECLARE l name; BEGIN
		FOR l IN DELETE FROM dbsts.grants WHERE issuer = 'https://issuer.test' AND identity = 'visitor' RETURNING login LOOP
			EXECUTE format('DROP ROLE %I', l);
			DELETE FROM dbsts_api.claims WHERE login = l;
		END LOOP; END $$`)
	if err != nil {
		return fmt.Errorf("clean: %w", err)
	}
	return nil
}

// verifier has the form that the routine insists on; nobody logs in with it.
func verifier() string {
	zeros := make([]byte, sha256.Size)
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$4096:%s$%s:%s", b64(zeros[:16]), b64(zeros), b64(zeros))
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
