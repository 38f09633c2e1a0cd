package postgres_test

import (
	"testing"
	"time"

	"dbsts/shared/engine"
	"dbsts/tests/servers"
	"dbsts/tests/shop"
)

func TestScratch(t *testing.T) {
	for _, v := range []string{"18", "15"} {
		t.Run(v, func(t *testing.T) {
			begin := time.Now()
			s := shop.Open(t, shop.Options{Options: servers.Options{Version: v}})
			t.Log("open", time.Since(begin))
			e := s.Engine(t, s.Logins().Exchange, 1)
			sw := s.Engine(t, s.Logins().Sweep, 1)
			p, err := e.Policy(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, roles := range [][]string{{"app_read"}, {"app_read", "app_write"}, {"app_owner"}} {
				rule := "engineers"
				if roles[0] == "app_owner" {
					rule = "dba"
				}
				m := engine.Mint{
					Subject: engine.Subject{Issuer: shop.Issuer, Identity: "u1", Subject: "u1", TokenKey: "k", IssuedAt: time.Now().Unix(), Expires: time.Now().Unix() + 600},
					ID:      engine.NewGrantID(), Target: "shop", Secret: engine.NewSecret(), Roles: roles,
					Rules: []engine.Rule{{ID: rule, Version: 1}}, Lifetime: 300, PolicyVersion: p.Version, PolicyAsOf: p.AsOf, Replay: "allow",
					Exposed: map[string]any{"tenant": "acme"}, Claims: map[string]any{"groups": []string{"x"}},
				}
				begin = time.Now()
				c, err := e.Mint(t.Context(), m)
				t.Logf("%+v %v %v", c, err, time.Since(begin))
				if err != nil {
					t.Fatal(err)
				}
				conn := s.Connect(t, c.Login, c.Password.Reveal())
				if c.SessionRole != "" {
					_, err = conn.Exec(t.Context(), "SET ROLE "+c.SessionRole)
				}
				var su, tenant, n any
				err = conn.QueryRow(t.Context(), "select session_user::text, dbsts_api.claim('tenant'), (select count(*) from shop.orders)").Scan(&su, &tenant, &n)
				t.Log(su, tenant, n, err)
				a := s.Admin(t)
				_, err = a.Exec(t.Context(), "update dbsts.grants set expires_at = now() where id=$1", c.Grant)
				t.Log(err)
				ls, err := sw.Lease(t.Context(), 10, time.Minute)
				t.Log(ls, err)
				ids := []string{c.Grant}
				t.Log(sw.Block(t.Context(), ids))
				l, err := sw.Kill(t.Context(), ids, nil)
				t.Log(l, err)
				time.Sleep(100 * time.Millisecond)
				l, err = sw.Kill(t.Context(), ids, l.Strangers)
				t.Log(l, err)
				t.Log(sw.Drop(t.Context(), ids))
				t.Log(conn.Exec(t.Context(), "select 1"))
				f, err := sw.Reconcile(t.Context())
				t.Log(f, err)
			}
		})
	}
}
