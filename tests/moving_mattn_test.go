//go:build cgo

package tests

import "testing"

func TestMovingSQLiteMattn(t *testing.T) { moveFiles(t, fileOf("sqlite3")) }

// TestMovingBetweenSQLiteDriversModernc is between files that two drivers have made.
func TestMovingBetweenSQLiteDriversModernc(t *testing.T) {
	move(t, fileOf("sqlite"), fileOf("sqlite3"))
	move(t, fileOf("sqlite3"), fileOf("sqlite"))
}
