// Package recipe says what every PostgreSQL server of the tests looks like, whoever starts it: TLS only, SCRAM only,
// settings that fit short-lived data. It writes no file and starts nothing.
package recipe

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// settingName is how the manual spells a parameter, an extension's with its prefix (section "Setting Parameters").
var settingName = regexp.MustCompile(`\A[a-zA-Z_][a-zA-Z0-9_]*(?:\.[a-zA-Z_][a-zA-Z0-9_]*)?\z`)

// Configuration returns a postgresql.conf: what the server listens on, TLS, SCRAM, UTC and English messages, then extra.
// Without durable, a crash of the machine loses the data (a crash of the server does not). ssl_cert_file and
// ssl_key_file keep their default names, in the data folder. An extra setting replaces one of ours.
func Configuration(listen string, port int, durable bool, extra map[string]string) (string, error) {
	settings := map[string]string{
		"listen_addresses":        listen,
		"port":                    fmt.Sprint(port),
		"unix_socket_directories": "", // a path of at most 107 bytes that the server may write: TCP is enough
		"ssl":                     "on",
		"password_encryption":     "scram-sha-256",
		"max_connections":         "200",
		"shared_buffers":          "128MB", // what initdb would write; the built-in default is 8 MB up to PostgreSQL 13
		"lc_messages":             "C",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"log_line_prefix":         "%m [%p] %q%u@%d ",
		"logging_collector":       "off", // everything goes to standard error, from its first line on
	}
	if !durable {
		for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
			settings[name] = "off"
		}
	}
	maps.Copy(settings, extra)

	quote := strings.NewReplacer(`'`, `''`, `\`, `\\`)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := settings[name]
		if !settingName.MatchString(name) || strings.ContainsAny(value, "\r\n\x00") {
			return "", fmt.Errorf("setting %q = %q: no such spelling in postgresql.conf", name, value)
		}
		fmt.Fprintf(&text, "%s = '%s'\n", name, quote.Replace(value))
	}
	return text.String(), nil
}

// HBA returns a pg_hba.conf: the first lines as given, then SCRAM over TLS for each of addresses, and nothing else:
// no trust, no connection without TLS.
func HBA(first []string, addresses ...string) string {
	lines := slices.Clone(first)
	for _, address := range addresses {
		lines = append(lines, "hostssl all all "+address+" scram-sha-256")
	}
	return strings.Join(lines, "\n") + "\n"
}
