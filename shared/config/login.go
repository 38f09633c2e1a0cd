package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"dbsts/shared/logging"
)

// maxPassword is the size in bytes up to which a password file is read; what is larger is another file.
const maxPassword = 4 << 10

// Password reads the login's password from its source: anew at each call, so that a rotated one is found. It does not
// retry and keeps nothing. The error names the file or the variable, never what is in it.
func (l Login) Password() (logging.Secret, error) {
	password, err := l.source()
	if err != nil {
		return logging.Secret{}, fmt.Errorf("password of login %q: %w", l.User, err)
	}
	return logging.NewSecret(password), nil
}

func (l Login) source() (string, error) {
	switch {
	case l.PasswordFile != "":
		content, err := readFile(l.PasswordFile, maxPassword)
		if err != nil {
			return "", err
		}
		line, _, _ := strings.Cut(string(content), "\n")
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			return "", fmt.Errorf("first line of %s is empty", l.PasswordFile)
		}
		return line, nil
	case l.PasswordEnv != "":
		password := os.Getenv(l.PasswordEnv)
		if password == "" {
			return "", fmt.Errorf("environment variable %s is empty or not set", l.PasswordEnv)
		}
		return password, nil
	default:
		return "", errors.New("no source is configured")
	}
}
