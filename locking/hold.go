package locking

import (
	"fmt"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/usher-go/usher/dialect"
)

// Rows says what kind of rows to hold.
type Rows struct {
	// Model is a pointer to the model, whose table has one primary key.
	Model any
	// Fence is an integer column of the table that means nothing to anybody: the fence adds 1
	// to it. Leave it empty when the transaction writes to every held row anyway.
	Fence string
}

// Hold takes the rows with the given keys for the rest of the transaction tx, in the order of
// their keys, and returns the keys of those that it took: not those that somebody else holds,
// where the engine can pass over them, nor (where it locks rows) those that do not exist.
//
// Make it the first statement of the transaction and decide nothing on what was read before
// it: what is read before, or in the same statement, may be older than the hold.
//
// Keys are of the type of the primary key. No keys are no error. It returns [ErrNoTransaction]
// outside a transaction, [ErrSnapshot] in one that [Join] has joined and whose isolation level
// hides what others have committed, [ErrNoPlugin], [ErrGone], [ErrDryRun], or the database's error.
func Hold[K any](tx *gorm.DB, rows Rows, keys []K) ([]K, error) {
	return hold(tx, rows, keys, func(s dialect.Strategy) dialect.Lock { return s.Lock })
}

// Await holds rows like [Hold], but waits for those that somebody else holds. When it has
// returned, no transaction that held one of them is still going on. How long it waits at
// most is for the server's settings to say; then [InTx] tries the whole transaction again. It returns
// what Hold does.
func Await[K any](tx *gorm.DB, rows Rows, keys []K) ([]K, error) {
	return hold(tx, rows, keys, func(s dialect.Strategy) dialect.Lock { return min(s.Lock, dialect.ForUpdate) })
}

func hold[K any](tx *gorm.DB, rows Rows, keys []K, choose func(dialect.Strategy) dialect.Lock) ([]K, error) {
	held, err := tryHold(tx, rows, keys, choose)
	if err == nil && len(keys) > 0 && tx.DryRun {
		return nil, ErrDryRun
	}
	return held, err
}

func tryHold[K any](tx *gorm.DB, rows Rows, keys []K, choose func(dialect.Strategy) dialect.Lock) ([]K, error) {
	if !inTransaction(tx) {
		return nil, ErrNoTransaction
	}
	if len(keys) == 0 {
		return nil, nil
	}
	p, err := plugin(tx)
	if err != nil {
		return nil, err
	}
	server, err := p.detect(tx.Statement.Context, tx)
	if err != nil {
		return nil, err
	}
	if err := transactionOf(tx).mustSeeAll(tx); err != nil {
		return nil, err
	}
	tx = Unprepared(tx)
	table := &gorm.Statement{DB: tx}
	if err := table.Parse(rows.Model); err != nil {
		return nil, fmt.Errorf("hold rows: %w", err)
	}
	if table.Schema.PrioritizedPrimaryField == nil {
		return nil, fmt.Errorf("hold rows: table %s has no primary key of one column", table.Table)
	}
	if server.Strategy == dialect.SingleWriter {
		return keys, becomeWriter(tx, clause.Table{Name: table.Table})
	}
	primary := table.Schema.PrioritizedPrimaryField
	key := clause.Column{Name: primary.DBName}
	held := slices.Clone(keys)
	if locking, ok := p.clause(server, choose(server.Strategy)); ok {
		held = nil
		err = tx.Model(rows.Model).Clauses(locking).Where(dialect.Among(server, key, primary.DataType, keys)).Order(clause.OrderByColumn{Column: key}).Pluck(key.Name, &held).Error
	}
	if err == nil && server.Strategy.Fence && rows.Fence != "" && len(held) > 0 {
		err = tx.Model(rows.Model).Where(dialect.Among(server, key, primary.DataType, held)).UpdateColumn(rows.Fence, gorm.Expr("? + 1", clause.Column{Name: rows.Fence})).Error
	}
	return held, err
}
