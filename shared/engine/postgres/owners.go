package postgres

import (
	"context"
	"fmt"
	"strings"
)

// file runs an SQL file as the role that owns what it makes.
func (i *installer) file(name string) func(context.Context) error {
	return func(ctx context.Context) error { return i.runAs(ctx, owner(name), name, read(name)) }
}

// admin runs an SQL file as the administrator.
func (i *installer) admin(name string) func(context.Context) error {
	return func(ctx context.Context) error { return i.runAs(ctx, "", name, read(name)) }
}

// runAs runs statements as a role, or as the administrator when role is empty.
func (i *installer) runAs(ctx context.Context, role, what, text string) error {
	if role != "" {
		text = "SET LOCAL ROLE " + role + ";\n" + text + ";\nRESET ROLE"
	}
	if err := i.exec(ctx, text); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// exec runs one or more statements without arguments.
func (i *installer) exec(ctx context.Context, text string) error {
	_, err := i.tx.Conn().PgConn().Exec(ctx, text).ReadAll()
	if err != nil {
		return fmt.Errorf("run statements: %w", err)
	}
	return nil
}

// owners are the roles that an install acts as.
func (i *installer) owners() []string {
	roles := []string{ownerRole, auditRole, readerRole, signallerRole}
	for n := range i.facts.creators() {
		roles = append(roles, creatorRole(n))
	}
	return roles
}

// actAsOwners lets an administrator who is no superuser act as the owners until the end of the transaction: a member
// who may SET ROLE and inherits nothing (an inheriting member of many creators pays for it at each mint).
func (i *installer) actAsOwners(ctx context.Context) error {
	if i.facts.superuser {
		return nil
	}
	options := ""
	if i.facts.modern() {
		options = " WITH INHERIT FALSE, SET TRUE"
	}
	return i.exec(ctx, "GRANT "+strings.Join(i.owners(), ", ")+" TO CURRENT_USER"+options)
}

// leaveOwners takes those memberships back.
func (i *installer) leaveOwners(ctx context.Context) error {
	if i.facts.superuser {
		return nil
	}
	return i.exec(ctx, "REVOKE "+strings.Join(i.owners(), ", ")+" FROM CURRENT_USER")
}

// openSchemas lets the other owners make their objects in our schemas; closeSchemas takes that back, so that after the
// install nobody but dbsts_owner, who cannot log in, can add anything.
func (i *installer) openSchemas(ctx context.Context) error {
	others := strings.Join(i.owners()[1:], ", ")
	return i.runAs(ctx, ownerRole, "open schemas",
		"GRANT USAGE, CREATE ON SCHEMA dbsts TO "+others+"; GRANT USAGE, CREATE ON SCHEMA dbsts_api TO "+readerRole)
}

func (i *installer) closeSchemas(ctx context.Context) error {
	others := strings.Join(i.owners()[1:], ", ")
	return i.runAs(ctx, ownerRole, "close schemas",
		"REVOKE USAGE, CREATE ON SCHEMA dbsts FROM "+others+"; REVOKE CREATE ON SCHEMA dbsts_api FROM "+readerRole)
}
