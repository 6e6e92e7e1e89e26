package locking

import (
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/usher-go/usher/dialect"
)

// SkipLocked locks the rows that a query returns and passes over rows that somebody else
// holds. Give it to Clauses, inside a transaction:
//
//	tx.Clauses(locking.SkipLocked()).Where(…).Order("id").Limit(10).Find(&rows)
//
// It becomes FOR UPDATE SKIP LOCKED where the engine has it, FOR UPDATE where it has only
// that, and on SQLite a write that changes nothing, sent before the query. Outside a
// transaction the query fails with [ErrNoTransaction]. The lock only keeps others away: guard
// each change with a condition on what was read, and count the rows. Order by an index, or
// MySQL and MariaDB lock every row that matches.
func SkipLocked() clause.Expression { return skipLocked{} }

type skipLocked struct{}

// Build writes nothing: the lock is a clause of its own.
func (skipLocked) Build(clause.Builder) {}

// ModifyStatement implements [gorm.StatementModifier]. The clause is there from the start, so
// that plugins which route reads to replicas see a locking read.
func (skipLocked) ModifyStatement(stmt *gorm.Statement) {
	if _, err := plugin(stmt.DB); err != nil {
		_ = stmt.AddError(err)
		return
	}
	stmt.AddClause(asked{clause.Locking{Strength: clause.LockingStrengthUpdate, Options: clause.LockingOptionsSkipLocked}})
}

// asked is the lock clause of a query with [SkipLocked], until the engine is known. It is kept
// in the query's clauses, which preloads of associations do not inherit.
type asked struct{ clause.Locking }

// MergeClause implements [clause.Interface].
func (a asked) MergeClause(c *clause.Clause) { c.Expression = a }

// lock gives a query that asked for [SkipLocked] what the engine has. It runs before the query.
func (p *Plugin) lock(db *gorm.DB) {
	if db.Error != nil {
		return
	}
	readLocked(db)
	if _, ok := db.Statement.Clauses[clause.Locking{}.Name()].Expression.(asked); !ok {
		return
	}
	if !inTransaction(db) && !db.DryRun {
		_ = db.AddError(ErrNoTransaction)
		return
	}
	server, err := p.detect(db.Statement.Context, db)
	if err != nil {
		_ = db.AddError(err)
		return
	}
	if locking, ok := p.clause(server, server.Strategy.Lock); ok {
		db.Statement.AddClause(locking)
		return
	}
	delete(db.Statement.Clauses, clause.Locking{}.Name())
	if server.Strategy == dialect.SingleWriter {
		_ = db.AddError(becomeWriter(Unprepared(db), tableOf(db.Statement)))
	}
}

// readLocked makes a query that GORM builds a locking read, which sees what was committed last,
// where others of the application's transaction may not.
func readLocked(db *gorm.DB) {
	_, locks := db.Statement.Clauses[clause.Locking{}.Name()]
	if t := transactionOf(db); !locks && db.Statement.SQL.Len() == 0 && t != nil && t.readsLocked() {
		db.Statement.AddClause(clause.Locking{Strength: clause.LockingStrengthUpdate})
	}
}

// clause is the lock clause for a kind of lock; false when the engine has none.
func (p *Plugin) clause(server *dialect.Server, lock dialect.Lock) (clause.Locking, bool) {
	locking := clause.Locking{Strength: clause.LockingStrengthUpdate}
	if p.noKeyUpdate && server.NoKeyUpdate() {
		locking.Strength = "NO KEY UPDATE"
	}
	if lock == dialect.SkipLocked {
		locking.Options = clause.LockingOptionsSkipLocked
	}
	return locking, lock != dialect.NoLock
}

// becomeWriter takes the engine's one writer lock, by an update of no row.
func becomeWriter(tx *gorm.DB, table any) error {
	return tx.Exec(noRowOf+"?"+noRow, table).Error
}

// noRowOf and noRow, around a table, are a write that changes nothing.
const (
	noRowOf = "DELETE FROM "
	noRow   = " WHERE 1 = 0"
)

// tableOf is the table of a query, with its alias when [gorm.DB.Table] gave it one.
func tableOf(stmt *gorm.Statement) any {
	if stmt.TableExpr != nil {
		return *stmt.TableExpr
	}
	return clause.Table{Name: stmt.Table}
}
