//go:build cgo

package dialect_test

import (
	"testing"
)

func TestSQLiteMattn(t *testing.T) {
	onEngine(t, onSQLite("sqlite3"), everyEngine, ofSQLite)
}
