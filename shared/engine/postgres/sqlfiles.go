package postgres

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// sqlFiles is every statement that dbsts runs beside the calls in routines.go.
//
//go:embed sql
var sqlFiles embed.FS

// Roles of the installation; see sql/install/1_roles.sql.
const (
	ownerRole     = "dbsts_owner"
	auditRole     = "dbsts_audit"
	readerRole    = "dbsts_reader"
	signallerRole = "dbsts_signaller"
)

// runsAs names the files that are not run as dbsts_owner.
var runsAs = map[string]string{
	"sql/install/1_roles.sql":       "",
	"sql/install/2_schemas.sql":     "",
	"sql/migrations/0002_audit.sql": auditRole,
	"sql/routines/look.sql":         signallerRole,
	"sql/routines/claim.sql":        readerRole,
}

// owner is the role that runs a file.
func owner(file string) string {
	if role, ok := runsAs[file]; ok {
		return role
	}
	return ownerRole
}

// read gives the text of an SQL file. The files are part of the program, so a missing one is a bug.
func read(file string) string {
	text, err := fs.ReadFile(sqlFiles, file)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// files lists a folder of SQL files in the order of their names.
func files(folder string) []string {
	entries, err := fs.ReadDir(sqlFiles, folder)
	if err != nil {
		panic(err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, path.Join(folder, entry.Name()))
	}
	return names
}

// creatorSQL is the routine of one creator.
func creatorSQL(n int) string {
	return strings.ReplaceAll(read("sql/routines/as_creator.sql"), "{{NN}}", fmt.Sprintf("%02d", n))
}

func creatorRole(n int) string { return fmt.Sprintf("dbsts_creator_%02d", n) }

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// routineFiles are the routines in an order in which each finds what it calls when it is checked.
var routineFiles = func() []string {
	first := []string{"sql/routines/helpers.sql", "sql/routines/role_flaw.sql", "sql/routines/ceilings.sql", "sql/routines/look.sql"}
	all := first
	for _, file := range files("sql/routines") {
		if file != "sql/routines/as_creator.sql" && !slices.Contains(first, file) {
			all = append(all, file)
		}
	}
	return all
}()
