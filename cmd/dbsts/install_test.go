package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"dbsts/shared/engine/postgres"
)

func TestAnInstallSaysWhatItDid(t *testing.T) {
	d := open(t)
	code, out, problems := d.dbsts(t, "", "install")
	if code != exitDone || !strings.Contains(out, `"applied": []`) {
		t.Errorf("nothing to apply: exit %d\n%s%s", code, out, problems)
	}
	d.config = file(t, "dbsts.yaml", regexp.MustCompile(regexp.QuoteMeta(d.Address())).ReplaceAllString(readAll(t, d.config), "127.0.0.1:1"))
	code, out, problems = d.dbsts(t, "", "install")
	if code != exitFailed || out != "" || !strings.Contains(problems, "unavailable") {
		t.Errorf("nothing done: exit %d\n%s%s", code, out, problems)
	}
}

func TestLongStatementsAreBrokenAndStayTheSame(t *testing.T) {
	var roles []string
	for i := range 140 {
		roles = append(roles, fmt.Sprintf("app_role_%d", i))
	}
	roles = append(roles, `"a, b"`)
	statement := "GRANT " + strings.Join(roles, ", ") + ` TO "admin" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;`
	missing := &postgres.MissingError{Rights: []postgres.Missing{{Right: "ADMIN OPTION on roles", Statement: statement}}}
	var out strings.Builder
	complain(&out, fmt.Errorf("install: %w", errors.Join(missing)))
	reason, printed, _ := strings.Cut(out.String(), "  -- ADMIN OPTION on roles\n")
	if !strings.HasPrefix(reason, "dbsts: rights are missing") || strings.Join(strings.Fields(printed), " ") != statement {
		t.Errorf("got %s", out.String())
	}
	for line := range strings.Lines(printed) {
		if len(line) > statementWidth+10 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}
