package dialect

import "database/sql"

// NoKeyUpdate reports whether the server has FOR NO KEY UPDATE, which lets rows with a foreign
// key to a locked row be inserted.
func (s *Server) NoKeyUpdate() bool {
	_, ok := s.Dialect.(postgres)
	return ok
}

// OrderBy is what comes first in ORDER BY when an index is to serve the order behind columns that
// are the same throughout: state, and the two given, the first of which may be NULL. PostgreSQL
// and MySQL have to be told of them; MariaDB, told, would sort.
func (s *Server) OrderBy(state, first, second string) string {
	switch s.Dialect.(type) {
	case postgres, mysql:
		return state + ", " + first + ", " + second + ", "
	}
	return ""
}

// ReadsAll reports whether the engine has to be led to an index even where that is the key, or an
// index with all that is asked for. PostgreSQL joins a hundred rows by their key by reading all of
// a table of 20,000, and without statistics it counts by whichever of two indexes it meets first.
func (s *Server) ReadsAll() bool { return s.Engine == "PostgreSQL" }

// ForceIndex is what follows a table in FROM to have it read through an index. MySQL and
// MariaDB, left alone, look for one row by LIMIT 1 in an index that knows nothing of the
// state, among all the runs that have ended. Others choose well, or take no such advice.
func (s *Server) ForceIndex(name string) string {
	switch s.Dialect.(type) {
	case mysql, mariadb:
		return " FORCE INDEX (`" + name + "`)"
	}
	return ""
}

// GuessesKeys reports whether the ids that GORM fills in after an INSERT of several rows are a
// guess: without RETURNING it counts up from the first by 1, where auto_increment_increment
// may be another (7 in Group Replication).
func (s *Server) GuessesKeys() bool {
	switch s.Dialect.(type) {
	case mysql:
		return true
	case mariadb:
		return !s.Version.AtLeast(10, 5, 0)
	}
	return false
}

// Patience are the statements that read how long a connection waits for the writer, in
// milliseconds, and that set it, with %d for the number. Engines with row locks have none.
func (s *Server) Patience() (read, set string) {
	if _, ok := s.Dialect.(sqlite); ok {
		return "PRAGMA busy_timeout", "PRAGMA busy_timeout = %d"
	}
	return "", ""
}

// ForEach is what selects, for each row of a table, the ids that a subquery has which goes by that
// row: a FROM clause, with the first %s for the table and the second for the subquery, in which
// the id is q.id; r is the table of the ids. It is empty where an engine has no such thing:
// LATERAL is in PostgreSQL since 9.3 and in MySQL since 8.0.14, and SQLite does as much with IN.
// Engines that are compatible with these have not been tried.
func (s *Server) ForEach(r string) string {
	switch {
	case s.Engine == "PostgreSQL", s.Engine == "MySQL" && s.Version.AtLeast(8, 0, 14):
		return "%s JOIN LATERAL (%s) q ON 1 = 1"
	case s.Engine == "SQLite":
		return "%s CROSS JOIN " + r + " q ON q.id IN (%s)" // in this order
	}
	return ""
}

// Part is what stands around a SELECT with an order and a limit of its own to make it a part of a
// UNION: parentheses. SQLite has none there, and takes it as a table; MariaDB would be slower with that.
func (s *Server) Part() (begin, end string) {
	if _, ok := s.Dialect.(sqlite); ok {
		return "SELECT * FROM (", ")"
	}
	return "(", ")"
}

// IsolationQuery asks for the isolation level of the transaction that it is asked in, in lower
// case. It is empty where that cannot be asked: MySQL and MariaDB name the session's, which a
// transaction may have been begun without.
func (s *Server) IsolationQuery() string {
	if _, ok := s.Dialect.(postgres); ok {
		return "SHOW transaction_isolation"
	}
	return ""
}

// Aborted reports whether a statement was refused since an earlier one of its transaction has
// failed: PostgreSQL does nothing more in it.
func (s *Server) Aborted(err error) bool {
	_, ok := s.Dialect.(postgres)
	return ok && sqlState(err) == "25P02"
}

// LockingReadsAreLatest reports whether a locking read sees what was committed last at every
// isolation level, as in InnoDB, where other reads may be as old as the transaction's first.
func (s *Server) LockingReadsAreLatest() bool {
	switch s.Dialect.(type) {
	case mysql, mariadb:
		return s.Strategy.Lock != NoLock
	}
	return false
}

// SnapshotOptions are the options of a transaction that sees all of the database as it was at its
// first read; none for an engine that is unknown. SQLite's drivers are told that it reads, lest
// they make it the writer.
func (s *Server) SnapshotOptions() []*sql.TxOptions {
	switch s.Dialect.(type) {
	case postgres:
		return []*sql.TxOptions{{Isolation: sql.LevelRepeatableRead, ReadOnly: true}}
	case mysql, mariadb:
		return []*sql.TxOptions{{Isolation: sql.LevelRepeatableRead}}
	case sqlite:
		return []*sql.TxOptions{{ReadOnly: true}}
	}
	return nil
}

// GoBeyond is the statement after which the ids that the engine gives to new rows lie beyond
// those in a table, with @table for the table and @name for its quoted name. It never takes them
// back. It is empty for engines that heed the ids of rows as they are inserted.
func (s *Server) GoBeyond() string {
	if _, ok := s.Dialect.(postgres); ok {
		return "SELECT setval(s.name, GREATEST(nextval(s.name), t.largest)) FROM (SELECT pg_get_serial_sequence(@name, 'id')::regclass AS name) s, " +
			"(SELECT MAX(id) AS largest FROM @table) t WHERE s.name IS NOT NULL AND t.largest > 0"
	}
	return ""
}
