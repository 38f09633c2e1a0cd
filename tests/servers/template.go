package servers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The contents of a template and of a home, which is cloned from it.
const (
	dataFolder   = "data"
	passwordFile = "admin-password" // of the superuser; random in each cache, and shared by what is cloned from it
	caFile       = "ca.pem"
	logFile      = "postgresql.log"
)

// adminUser is the superuser of every server that we make.
const adminUser = "postgres"

// template returns a folder with an initialised data folder and its superuser's password.
// What initdb depends on is in its name: programs, version, account. Raise the trailing number when the arguments below change.
func (c cache) template(ctx context.Context, b binaries, a account, log io.Writer) (string, error) {
	from := sha256.Sum256([]byte(b.dir))
	name := fmt.Sprintf("postgres-%s-%x-%s-1", b.version, from[:4], a.name)
	return c.once(ctx, filepath.Join("templates", name), func(draft string) error {
		_, _ = fmt.Fprintf(log, "initialising PostgreSQL %s\n", b.version)
		if err := a.writeFile(filepath.Join(draft, passwordFile), []byte(rand.Text())); err != nil {
			return err
		}
		data := filepath.Join(draft, dataFolder)
		if err := os.Mkdir(data, 0o700); err != nil {
			return fmt.Errorf("make the data folder: %w", err)
		}
		if err := a.own(data); err != nil {
			return err
		}
		out, err := a.command(ctx, draft, filepath.Join(b.dir, "initdb"), "-D", data, "-U", adminUser,
			"--pwfile="+filepath.Join(draft, passwordFile), "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale",
		).CombinedOutput()
		if err != nil {
			return fmt.Errorf("initdb: %w: %s", err, out)
		}
		return nil
	})
}

// furnish fills a home: data and password from the template unless it has some, TLS files, settings.
func (n *native) furnish(ctx context.Context, c cache, o Options) error {
	data := filepath.Join(n.home, dataFolder)
	_, err := os.Stat(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		var template string
		if template, err = c.template(ctx, n.binaries, n.account, o.Log); err != nil {
			return err
		}
		draft := data + ".draft" // renamed when it is whole, as in the cache
		if err = errors.Join(os.RemoveAll(draft), copyTree(filepath.Join(template, dataFolder), draft, n.account)); err != nil {
			return err
		}
		if err = os.RemoveAll(filepath.Join(n.home, passwordFile)); err != nil {
			return fmt.Errorf("furnish: %w", err)
		}
		if err = copyFile(filepath.Join(template, passwordFile), filepath.Join(n.home, passwordFile)); err != nil {
			return fmt.Errorf("copy the password: %w", err)
		}
		err = os.Rename(draft, data)
	}
	if err != nil {
		return fmt.Errorf("furnish: %w", err)
	}
	return n.certify()
}
