package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"dbsts/tests/servers"
)

// word is one of a command line; secret is what the tour does not print: the random half of a password, and tokens.
var (
	word   = regexp.MustCompile(`'([^']*)'|"([^"]*)"|(\S+)`)
	secret = regexp.MustCompile(`(dbsts_[a-z2-7]{26}_|eyJ)[A-Za-z0-9_.-]{50,}`)
)

// demo gives the tour of demo.yaml. It ends at the first step that does not show, within 10 s, what it claims.
func (s *stack) demo(ctx context.Context) error {
	var steps []struct{ Say, Run, Expect string }
	raw, err := os.ReadFile("localstack/demo.yaml")
	if err = errors.Join(err, yaml.Unmarshal(raw, &steps)); err != nil {
		return err
	}
	for name, value := range s.env {
		_ = os.Setenv(name, value) // for $NAMES, psql and pgx
	}
	for i, step := range steps {
		fmt.Printf("\n%d. %s\n   $ %s\n", i+1, step.Say, step.Run)
		output, shown := "", false
		for end := time.Now().Add(10 * time.Second); !shown && ctx.Err() == nil && time.Now().Before(end); time.Sleep(time.Second / 5) {
			output = s.command(ctx, step.Run)
			shown = regexp.MustCompile(step.Expect).MatchString(output)
		}
		for _, line := range strings.FieldsFunc(secret.ReplaceAllString(output, "$1…"), func(r rune) bool { return r == '\n' }) {
			fmt.Println("   " + line)
		}
		if !shown {
			return fmt.Errorf("step %d did not show %s", i+1, step.Expect)
		}
	}
	fmt.Printf("\nShown in %d steps: exchange, tenants apart, refusals and their reasons, revocation, sweep, audit; next: make local\n", len(steps))
	return nil
}

// command runs the few commands that the tour has, and returns what they say.
func (s *stack) command(ctx context.Context, run string) string {
	var words []string
	for _, quoted := range word.FindAllStringSubmatch(run, -1) {
		words = append(words, os.ExpandEnv(quoted[1]+quoted[2]+quoted[3]))
	}
	switch name, value, assigns := strings.Cut(words[0], "="); {
	case assigns: // PGPASSWORD=… psql dsn -c statement, perhaps with & behind it
		_ = os.Setenv(name, value)
		if len(words) == 5 {
			return psql(ctx, words[2], words[4])
		}
		go func() { s.background.Store(psql(ctx, words[2], words[4])) }()
		return ""
	case name == "wait":
		return fmt.Sprint(s.background.Load()) // <nil> yet: it is asked again
	case name == "go": // run ./localstack invoke id
		return said(s.functions[words[4]].Invoke(ctx, nothing))
	}
	return post(ctx, s.client, words[3], words[5]) // curl --cacert file url -d data
}

// psql runs one statement through psql, or where there is none through pgx.
func psql(ctx context.Context, dsn, statement string) string {
	if program := servers.FindPsql(); program != "" {
		output, _ := exec.CommandContext(ctx, program, "-X", "-d", dsn, "-c", statement).CombinedOutput() // #nosec G204 -- our own words
		return string(output)
	}
	return said(execute(ctx, dsn, statement))
}

func said[T string | []byte](output T, err error) string {
	return strings.TrimSuffix(fmt.Sprint(string(output), err), "<nil>")
}

// post sends a form and remembers the members of the JSON answer as $names.
func post(ctx context.Context, client *http.Client, url, data string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(data))
	if err != nil {
		return err.Error()
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body) // what is missing is not shown
	var members map[string]any
	_ = json.Unmarshal(body, &members) // not every answer is JSON
	for name, value := range members {
		_ = os.Setenv(name, fmt.Sprint(value))
	}
	return response.Status + " " + string(body)
}
