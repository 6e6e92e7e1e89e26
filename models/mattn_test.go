//go:build cgo

package models_test

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

func TestSQLiteMattn(t *testing.T) {
	onEngine(t, func(t testing.TB) testdb.Database { return testdb.SQLite(t, "sqlite3") })
}
