//go:build cgo

package tests

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

func TestChaosSQLiteMattn(t *testing.T) { chaosOnFile(t, testdb.SQLite(t, "sqlite3")) }
