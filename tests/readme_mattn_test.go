//go:build cgo

package tests

import (
	"testing"

	"github.com/usher-go/usher/internal/testdb"
)

func TestReadmeSQLiteMattn(t *testing.T) { follow(t, "SQLite, with cgo", testdb.SQLite(t, "sqlite3")) }
