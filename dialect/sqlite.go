package dialect

import (
	"database/sql"
	"strings"
)

type sqlite struct{}

var _ Dialect = sqlite{}

// Lock is none: SQLite has one writer at a time, and GORM's drivers drop a lock clause without a word.
func (sqlite) Lock(v Version) (Lock, string, error) {
	if !v.AtLeast(3, 24, 0) {
		return NoLock, "", tooOld("SQLite", v, "3.24")
	}
	return NoLock, "SQLite has one writer at a time, and no row locks", nil
}

// TxOptions are none: the drivers ignore or refuse an isolation level, and SQLite is always serializable.
func (sqlite) TxOptions() *sql.TxOptions { return nil }

// Now has the form of the stored times, which are compared as text. SQLite's clock counts milliseconds.
func (sqlite) Now() string { return "strftime('%Y-%m-%d %H:%M:%f000', 'now')" }

// TableOptions are none: SQLite compares text byte by byte.
func (sqlite) TableOptions(Version) string { return "" }

func (sqlite) Class(err error) Class {
	code := sqliteCode(err)
	switch {
	case code == 517: // BUSY_SNAPSHOT: the transaction read before somebody else wrote
		return Conflict
	case code == 2067 || code == 1555:
		return Duplicate
	}
	switch code & 0xff {
	case 5, 6, 15: // PROTOCOL: it lost the race to begin a transaction for ten seconds (sqlite.org/rescode.html#protocol)
		return Busy
	case 3, 14, 23:
		return Denied
	case 8:
		return ReadOnly
	case 13:
		return Full
	case 1: // SQLite gives the one code to every mistake in a statement
		return sqliteMistake(err.Error(), uncoded(err))
	case 17: // SCHEMA: other tables than those the statement was prepared for, which is a mistake by now or not
		return sqliteMistake(err.Error(), Busy)
	}
	return uncoded(err)
}

// sqliteMistake is the class of a mistake in a statement, by SQLite's words for it.
func sqliteMistake(text string, otherwise Class) Class {
	switch {
	case strings.Contains(text, "no such table"), strings.Contains(text, "no such column"):
		return Missing
	case strings.Contains(text, "already exists"), strings.Contains(text, "duplicate column"):
		return Exists
	case strings.Contains(text, "within a transaction"):
		return LeftOpen
	}
	return otherwise
}

var sqliteSettings = []setting{
	{"journal_mode", "PRAGMA journal_mode", is("wal"), "readers and the writer block each other: open with WAL"},
	{"busy_timeout", "PRAGMA busy_timeout", isNot("0"), "a second writer fails at once instead of waiting: set 5000 (ms) or more"},
	{"synchronous", "PRAGMA synchronous", isNot("0"), "a crash of the machine can corrupt the database: set FULL, or NORMAL with WAL"},
}
