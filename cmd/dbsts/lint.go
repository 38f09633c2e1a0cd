package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"dbsts/shared/config"
	"dbsts/shared/policy"
	"dbsts/shared/wiring"
)

// maxDocument bounds what is read from a file or standard input, in bytes: ten thousand rules have about 5 MiB.
const maxDocument = 64 << 20

// rulebook is the rules of one server, or of a document.
type rulebook struct {
	Server   string           `json:"server,omitempty"`
	Version  int64            `json:"policy_version,omitempty"` // 0: of a document
	Findings []policy.Finding `json:"findings"`
	set      *policy.Set
}

// name is for people.
func (b rulebook) name() string {
	if b.Server == "" {
		return "document"
	}
	return fmt.Sprintf("server %s, policy version %d", b.Server, b.Version)
}

// lint prints what is wrong or unwise about the rules of every server.
func lint(ctx context.Context, args []string, t terminal) (int, error) {
	flags, path := flagSet("lint")
	only := flags.String("server", "", "")
	doc := flags.String("doc", "", "")
	asJSON := flags.Bool("json", false, "")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if *only != "" && *doc != "" {
		return 0, fmt.Errorf("%w: -server and -doc exclude each other", errUsage)
	}
	cfg, err := config.Load(configPath(*path))
	if err != nil {
		return 0, err
	}
	books, err := rulebooks(ctx, cfg, *only, *doc, t.in)
	if err != nil {
		return 0, err
	}
	presets := map[string]string{}
	for _, issuer := range cfg.Issuers {
		presets[issuer.Issuer] = issuer.Preset
	}
	code := exitDone
	for i := range books {
		books[i].Findings = append([]policy.Finding{}, books[i].set.Lint(presets)...)
		if slices.ContainsFunc(books[i].Findings, func(f policy.Finding) bool { return f.Severity == policy.Error }) {
			code = exitRefused
		}
	}
	if *asJSON {
		return code, printJSON(t.out, books)
	}
	for _, b := range books {
		b.print(t.out)
	}
	return code, nil
}

// rulebooks reads the document, or else the rules of the servers.
func rulebooks(ctx context.Context, cfg config.Config, only, doc string, in io.Reader) ([]rulebook, error) {
	if doc != "" {
		b, err := fromDocument(doc, in)
		return []rulebook{b}, err
	}
	var books []rulebook
	for _, server := range cfg.Servers {
		if only != "" && server.Name != only {
			continue
		}
		b, err := fromServer(ctx, server)
		if err != nil {
			return nil, err
		}
		books = append(books, b)
	}
	if len(books) == 0 {
		return nil, fmt.Errorf("the configuration has no server %s", only)
	}
	return books, nil
}

func fromServer(ctx context.Context, server config.Server) (rulebook, error) {
	current, err := wiring.Policy(ctx, server)
	if err != nil {
		return rulebook{}, fmt.Errorf("server %s: %w", server.Name, err)
	}
	set, err := policy.Compile(current.Doc)
	if err != nil {
		return rulebook{}, fmt.Errorf("server %s: %w", server.Name, err)
	}
	return rulebook{Server: server.Name, Version: current.Version, set: set}, nil
}

func fromDocument(file string, in io.Reader) (rulebook, error) {
	doc, err := readInput(file, in, maxDocument)
	if err != nil {
		return rulebook{}, err
	}
	set, err := policy.Compile(doc)
	if err != nil {
		return rulebook{}, fmt.Errorf("%s: %w", inputName(file), err)
	}
	return rulebook{set: set}, nil
}

// readInput reads a file, or standard input for "-".
func readInput(file string, in io.Reader, most int64) ([]byte, error) {
	if file != "-" {
		f, err := os.Open(file) //nolint:gosec // G304: the person at the terminal names it
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", inputName(file), err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", inputName(file), most)
	}
	return text, nil
}

func inputName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}

func (b rulebook) print(out io.Writer) {
	count := map[policy.Severity]int{}
	for _, f := range b.Findings {
		count[f.Severity]++
		where := "target " + f.Target
		if f.Rule != "" {
			where += ", rule " + f.Rule
		}
		_, _ = fmt.Fprintf(out, "%-8s %s: %s (%s)\n", f.Severity, where, strings.Map(visible, f.Text), f.Check)
	}
	_, _ = fmt.Fprintf(out, "%s: errors %d, warnings %d\n", b.name(), count[policy.Error], count[policy.Warning])
}
