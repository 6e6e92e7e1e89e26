package tests

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

func TestSQLiteModernc(t *testing.T) {
	conform(t, func(t testing.TB) testdb.Database { return testdb.SQLite(t, "sqlite") })
}
