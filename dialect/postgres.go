package dialect

import "database/sql"

type postgres struct{}

var _ Dialect = postgres{}

func (postgres) Lock(v Version) (Lock, string, error) {
	if !v.AtLeast(9, 5, 0) {
		return NoLock, "", tooOld("PostgreSQL", v, "9.5")
	}
	return SkipLocked, "it has SKIP LOCKED (since 9.5)", nil
}

func (postgres) TxOptions() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

// Now is the time of the statement, not of the transaction, which may have waited since it began.
func (postgres) Now() string { return "statement_timestamp()" }

// TableOptions are none: PostgreSQL compares text byte by byte for equality whatever its collation.
func (postgres) TableOptions(Version) string { return "" }

// Class knows one of the many things that PostgreSQL does not support: a prepared statement
// whose result has other columns since a migration. The driver prepares it anew the next time.
func (postgres) Class(err error) Class {
	switch state := sqlState(err); state {
	case "0A000":
		if postgresRoutine(err) == "RevalidateCachedQuery" { // cached plan must not change result type
			return Busy
		}
		return Other
	case "40001", "40P01":
		return Conflict
	case "55P03":
		return Busy
	case "23505":
		return Duplicate
	case "42P07", "42710", "42701":
		return Exists
	case "42P01", "42703", "3F000", "3D000":
		return Missing
	case "42501", "28P01", "28000":
		return Denied
	case "25006":
		return ReadOnly
	case "53100":
		return Full
	case "57P01", "57P02", "57P03", "53300", "08000", "08003", "08006":
		return Lost
	default:
		return uncoded(err)
	}
}

var postgresSettings = []setting{
	{"fsync", "SHOW fsync", is("on"), "a crash of the machine can corrupt the database: set fsync = on"},
	{"synchronous_commit", "SHOW synchronous_commit", isNot("off"), "after a crash, runs that were admitted are queued again and would start twice: do not set it to off"},
	{"default_transaction_isolation", "SHOW default_transaction_isolation", always, ""},
	{"max_connections", "SHOW max_connections", always, ""},
	{"TimeZone", "SHOW TimeZone", always, ""},
}
