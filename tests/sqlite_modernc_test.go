package tests

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

// TestSQLiteModernc leaves out the plans, which are those of the same SQLite through either driver.
func TestSQLiteModernc(t *testing.T) {
	conform(t, func(t testing.TB) testdb.Database { return testdb.SQLite(t, "sqlite") }, fullDisk, numbered)
}
