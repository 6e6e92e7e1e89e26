package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// Setting is a setting of the server that bears on usher, as [Server.Settings] found it.
type Setting struct {
	// Name and Value are the server's own.
	Name, Value string
	// Advice says what the value hurts and what to do; empty when it is fine.
	Advice string
}

// setting is one to look up, the values that are fine, and the advice for the others.
type setting struct {
	name, query string
	fine        func(string) bool
	advice      string
}

// variable is a setting of the MySQL family: a row of name and value, or none in a version without it.
func variable(name string, fine func(string) bool, advice string) setting {
	return setting{name, "SHOW VARIABLES LIKE '" + name + "'", fine, advice}
}

func always(string) bool { return true }

func is(want string) func(string) bool { return func(v string) bool { return v == want } }

func isNot(bad string) func(string) bool { return func(v string) bool { return v != bad } }

// Settings reads the settings of the server that bear on usher, with advice for those that hurt.
func (s *Server) Settings(ctx context.Context, db *gorm.DB) ([]Setting, error) {
	db = db.Session(&gorm.Session{NewDB: true, Context: ctx})
	db.DryRun = false
	var found []Setting
	for _, want := range s.settings() {
		var value string
		err := db.Raw(want.query).Row().Scan(want.into(&value)...)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read setting %s: %w", want.name, err)
		}
		got := Setting{Name: want.name, Value: value}
		if !want.fine(value) {
			got.Advice = want.advice
		}
		found = append(found, got)
	}
	return found, nil
}

// into are the places for the columns of the query's row, of which the last is the value.
func (s setting) into(value *string) []any {
	if strings.HasPrefix(s.query, "SHOW VARIABLES") {
		return []any{new(string), value}
	}
	return []any{value}
}

func (s *Server) settings() []setting {
	switch s.Dialect.(type) {
	case postgres:
		return postgresSettings
	case mysql:
		return mysqlSettings
	case mariadb:
		return mariadbSettings
	case sqlite:
		return sqliteSettings
	}
	return nil
}
