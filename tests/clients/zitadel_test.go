package clients_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func zitadelIsTrustworthy(t *testing.T) {
	p := newZitadel(t)
	d := p.deploy(t, `[{"claim": "sub", "op": "eq", "value": "id1"}]`)
	d.mustBuy(t, p.signIn(t), "id_token")
	p.mustRotate(t, d)
	p.mustBearSkew(t, d)
}

// newZitadel runs github.com/zitadel/oidc as an issuer, with the users of its example.
func newZitadel(t *testing.T) *provider {
	t.Helper()
	var state *zitadelStorage
	p := &provider{}
	p.serve(t, func(url string) (http.Handler, error) {
		client := storage.WebClient(clientID, clientSecret, callback)
		state = &zitadelStorage{Storage: storage.NewStorageWithClients(storage.NewUserStore(url), map[string]*storage.Client{clientID: client})}
		if err := state.rotate(); err != nil {
			return nil, err
		}
		handler, err := op.NewProvider(&op.Config{CodeMethodS256: true}, state, op.StaticIssuer(url))
		mux := http.NewServeMux()
		mux.Handle("/", handler)
		mux.HandleFunc("/login/username", func(w http.ResponseWriter, r *http.Request) { // where its example has a form
			id := r.FormValue("authRequestID")
			if refusal := state.CheckUsernamePassword("test-user@localhost", "verysecure", id); refusal != nil {
				http.Error(w, refusal.Error(), http.StatusForbidden)
				return
			}
			http.Redirect(w, r, "/authorize/callback?id="+id, http.StatusFound) //nolint:gosec // the id is checked above
		})
		return mux, err
	})
	p.rotate, p.withdraw = state.rotate, state.withdraw
	return p
}

// zitadelStorage is the storage of zitadel's example, with keys that rotate and tokens that live as ours shall.
type zitadelStorage struct {
	*storage.Storage
	mu   sync.Mutex
	keys []privateKey // published; the first one signs
}

func (s *zitadelStorage) rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append([]privateKey{{rand.Text(), key}}, s.keys...)
	return err
}

func (s *zitadelStorage) withdraw() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = s.keys[:1]
	return nil
}

func (s *zitadelStorage) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[0], nil
}

func (s *zitadelStorage) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var set []op.Key
	for _, key := range s.keys {
		set = append(set, publicKey{key})
	}
	return set, nil
}

func (s *zitadelStorage) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := s.Storage.GetClientByClientID(ctx, id)
	return zitadelClient{client}, err
}

type zitadelClient struct{ op.Client }

func (zitadelClient) IDTokenLifetime() time.Duration { return tokenLife }

// privateKey is an op.SigningKey.
type privateKey struct {
	id  string
	key *rsa.PrivateKey
}

func (k privateKey) ID() string                                  { return k.id }
func (k privateKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k privateKey) Key() any                                    { return k.key }

// publicKey is an op.Key.
type publicKey struct{ private privateKey }

func (k publicKey) ID() string                         { return k.private.id }
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return k.private.key.Public() }
