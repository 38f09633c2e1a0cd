package wiring

import (
	"context"

	"dbsts/shared/config"
	"dbsts/shared/engine"
)

// Policy reads the rules and the catalogue that hold now on a server, as the exchange function does and with its login.
func Policy(ctx context.Context, server config.Server) (engine.Policy, error) {
	b, err := open(ctx, server, server.Logins.Exchange, 1)
	if err != nil {
		return engine.Policy{}, err
	}
	defer b.Close()
	return b.Policy(ctx)
}
