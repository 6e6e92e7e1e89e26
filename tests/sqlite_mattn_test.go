//go:build cgo

package tests

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

func TestSQLiteMattn(t *testing.T) {
	conform(t, func(t testing.TB) testdb.Database { return testdb.SQLite(t, "sqlite3") }, plans, fullDisk, numbered)
}
