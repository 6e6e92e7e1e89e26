//go:build cgo

package locking_test

import (
	"testing"
)

func TestSQLiteMattn(t *testing.T) {
	onEngine(t, onSQLite("sqlite3"), holding, looking, clauses, transactions, snapshots, joining, applications, ofSQLite)
}
