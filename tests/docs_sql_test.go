package tests

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"dbsts/tests/shop"
)

// TestSQLInTheDocsRuns runs what DBAs and auditors are told to run, on a fresh installation. Nothing of it stays.
func TestSQLInTheDocsRuns(t *testing.T) {
	admin := shop.Open(t, shop.Options{}).Admin(t)
	for _, page := range []struct {
		name    string
		prepare string // what the page takes for granted
		finish  string
	}{
		{"README.md", "", "SET CONSTRAINTS ALL IMMEDIATE"},
		{"docs/dba.md", "CREATE ROLE pat LOGIN; CREATE ROLE cat LOGIN; CREATE ROLE ann LOGIN", "SET CONSTRAINTS ALL IMMEDIATE"},
		{"docs/audit.md", "CREATE ROLE ann LOGIN; GRANT dbsts_auditor TO ann; SET LOCAL ROLE ann", ""},
		{"docs/operations.md", "CREATE ROLE ann LOGIN; GRANT dbsts_auditor TO ann; SET LOCAL ROLE ann", ""},
	} {
		t.Run(page.name, func(t *testing.T) {
			tx, err := admin.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			run(t, tx, page.prepare)
			for _, block := range blocks(t, page.name, "sql") {
				run(t, tx, block)
			}
			run(t, tx, page.finish)
		})
	}
}

func run(t *testing.T, tx pgx.Tx, statements string) {
	t.Helper()
	if _, err := tx.Conn().PgConn().Exec(t.Context(), statements).ReadAll(); err != nil {
		t.Fatalf("%v\n%s", err, statements)
	}
}
