package postgres_test

import (
	"testing"
	"time"

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
			p, err := e.Policy(t.Context())
			t.Log(string(p.Doc), p.Version, p.AsOf, err)
		})
	}
}
