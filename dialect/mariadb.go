package dialect

import "database/sql"

type mariadb struct{}

var _ Dialect = mariadb{}

func (mariadb) Lock(v Version) (Lock, string, error) {
	if !v.AtLeast(10, 2, 1) {
		return NoLock, "", tooOld("MariaDB", v, "10.2.1")
	}
	if !v.AtLeast(10, 6, 0) {
		return ForUpdate, "SKIP LOCKED came with 10.6", nil
	}
	return SkipLocked, "it has SKIP LOCKED (since 10.6)", nil
}

// TxOptions avoid the default, REPEATABLE READ: from 11.6.2 on it also raises 1020 for a row that somebody else changed.
func (mariadb) TxOptions() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

func (mariadb) Now() string { return "UTC_TIMESTAMP(6)" }

// TableOptions make ids differ by case and by trailing blanks, as they do elsewhere.
func (mariadb) TableOptions(Version) string {
	return "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin"
}

// Class is that of MySQL, and 1020: the row changed since it was read, and the transaction is rolled back.
func (mariadb) Class(err error) Class {
	if mysqlNumber(err) == 1020 {
		return Conflict
	}
	return mysql{}.Class(err)
}

var mariadbSettings = []setting{
	variable("innodb_flush_log_at_trx_commit", is("1"), "after a crash of the machine, runs that were admitted are queued again and would start twice: set it to 1"),
	variable("tx_isolation", always, ""),
	variable("innodb_snapshot_isolation", always, ""),
	variable("innodb_lock_wait_timeout", always, ""),
	variable("sync_binlog", always, ""),
	variable("max_connections", always, ""),
	variable("binlog_format", isNot("STATEMENT"), "READ COMMITTED needs row format (error 1665): set binlog_format = ROW or MIXED"),
}
