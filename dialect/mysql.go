package dialect

import "database/sql"

type mysql struct{}

var _ Dialect = mysql{}

func (mysql) Lock(v Version) (Lock, string, error) {
	if !v.AtLeast(5, 7, 0) {
		return NoLock, "", tooOld("MySQL", v, "5.7")
	}
	if !v.AtLeast(8, 0, 1) {
		return ForUpdate, "SKIP LOCKED came with 8.0.1", nil
	}
	return SkipLocked, "it has SKIP LOCKED (since 8.0.1)", nil
}

// TxOptions avoid the default, REPEATABLE READ: its snapshot makes counts old, and its gap locks block inserts.
func (mysql) TxOptions() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

func (mysql) Now() string { return "UTC_TIMESTAMP(6)" }

// TableOptions make ids differ by case and by trailing blanks, as they do elsewhere.
func (mysql) TableOptions(v Version) string {
	if !v.AtLeast(8, 0, 17) {
		return "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
	}
	return "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin"
}

func (mysql) Class(err error) Class {
	switch mysqlNumber(err) {
	case 1213, 1180, 3101: // 1180 and 3101: Group Replication, from COMMIT
		return Conflict
	case 9007, 8002, 8022, 8028: // TiDB
		return Conflict
	case 1205, 3572:
		return Busy
	case 1062:
		return Duplicate
	case 1050, 1061, 1060:
		return Exists
	case 1146, 1054, 1049, 1176:
		return Missing
	case 1142, 1143, 1044, 1045, 1698, 1227, 1370:
		return Denied
	case 1792, 1290, 1836:
		return ReadOnly
	case 1568:
		return LeftOpen
	case 1021, 1114:
		return Full
	case 1053, 1927, 1040, 1047, 1158, 1159, 1160, 1161, 3100: // 1158 to 1161: the server lost the client first; 3100: the node lost its group in COMMIT
		return Lost
	default:
		return uncoded(err)
	}
}

var mysqlSettings = []setting{
	variable("innodb_flush_log_at_trx_commit", is("1"), "after a crash of the machine, runs that were admitted are queued again and would start twice: set it to 1"),
	variable("transaction_isolation", always, ""),
	variable("innodb_lock_wait_timeout", always, ""),
	variable("sync_binlog", always, ""),
	variable("max_connections", always, ""),
	variable("binlog_format", isNot("STATEMENT"), "READ COMMITTED needs row format (error 1665): set binlog_format = ROW"),
}
