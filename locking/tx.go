package locking

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
)

// The pause before attempt n+1 is random, up to firstPause doubled n times, at most longestPause (full jitter).
const (
	firstPause   = 2 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// InTx runs body in a transaction and returns its value once that is committed.
//
// The transaction is READ COMMITTED where the engine knows isolation levels. When it loses a
// conflict, in a statement or in COMMIT, when a lock was not to be had in time, when the
// connection broke before COMMIT or had a transaction left open, or when body returns
// [ErrChanged], the whole of it is tried again, at most as often as [Attempts] says and with
// random pauses of up to half a second.
// So body may run several times: it must make its results anew each time, and have no effect
// outside the transaction. [OnRetry] tells of each time.
//
// A transaction of the application's is joined when db is what [Join] has made of it: body runs
// once, and [ErrGone], [ErrSnapshot] and [ErrContention] say what became of it.
//
// With GORM's DryRun nothing is executed: body runs once, to show its SQL, and finds nothing.
//
// It returns body's own error, [ErrContention], [ErrCommitUnknown], [ErrNested],
// [ErrNoPlugin], the context's error, or that of the database. When GORM's
// DefaultTransactionTimeout has passed, that is [context.DeadlineExceeded].
func InTx[T any](ctx context.Context, db *gorm.DB, body func(tx *gorm.DB) (T, error)) (T, error) {
	var none T
	p, err := plugin(db)
	if err != nil {
		return none, err
	}
	if inTransaction(db) {
		if t := transactionOf(db); t != nil && t.caller != nil && !t.inside {
			return within(ctx, db, t, body)
		}
		return none, ErrNested
	}
	server, err := p.detect(ctx, db)
	if err != nil {
		return none, err
	}
	if db.DryRun {
		return rehearse(ctx, db, server, body)
	}
	apart := leavesOpen(db, server)
	for attempt := 1; ; attempt++ {
		value, err := once(ctx, db, server, p.txOptions(server), apart, body)
		switch {
		case err == nil:
			return value, nil
		case !again(server, err):
			return none, err
		case attempt >= p.attempts && server.Class(err) == dialect.Lost:
			return none, fmt.Errorf("no connection to the database after %d attempts: %w", attempt, err)
		case attempt >= p.attempts:
			return none, fmt.Errorf("%w (%d attempts): %w", ErrContention, attempt, err)
		}
		tellRetry(ctx, Retry{attempt, server.Class(err), err})
		apart = apart || server.Class(err) == dialect.LeftOpen
		if err := pause(ctx, attempt); err != nil {
			return none, err
		}
	}
}

// Snapshot runs body in a transaction that sees all of the database as it was at the first read
// of body, whatever others commit meanwhile, and returns body's value. It waits for nobody, and
// keeps nobody waiting. It is for reading, and is not tried again.
//
// It returns body's own error, [ErrNested], [ErrNoPlugin], the context's error, or that of the database.
func Snapshot[T any](ctx context.Context, db *gorm.DB, body func(tx *gorm.DB) (T, error)) (T, error) {
	var none T
	p, err := plugin(db)
	if err != nil {
		return none, err
	}
	if inTransaction(db) {
		return none, ErrNested
	}
	server, err := p.detect(ctx, db)
	if err != nil {
		return none, err
	}
	return once(ctx, db, server, server.SnapshotOptions(), leavesOpen(db, server), body)
}

// once is one attempt: a new transaction and a fresh call of body. When it is apart, it has a
// connection on which it leaves nothing open.
func once[T any](ctx context.Context, db *gorm.DB, server *dialect.Server, options []*sql.TxOptions, apart bool, body func(tx *gorm.DB) (T, error)) (value T, err error) {
	var none T
	ctx, cancel := limited(ctx, db)
	defer cancel()
	state := &transaction{server: server}
	session := state.session(ctx, db)
	committing, committed := false, false
	if apart {
		conn, err := take(ctx, db)
		if err != nil {
			return none, err
		}
		defer func() { giveBack(ctx, conn, server, committed) }()
		session.Statement.ConnPool = conn
	}
	err = session.Transaction(func(tx *gorm.DB) error {
		if value, err = body(tx); err == nil {
			err = cmp.Or(state.gone, ctx.Err())
		}
		committing = err == nil
		return err
	}, options...)
	if committed = err == nil; committed {
		return value, nil
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	if committing && answerLost(ctx, server, err) {
		err = fmt.Errorf("%w: %w", ErrCommitUnknown, err)
	}
	return none, err
}

// limited is the context of one transaction, as GORM's DefaultTransactionTimeout has it. GORM's own
// is one that only database/sql knows of, so that nobody else could tell why the transaction ended.
func limited(ctx context.Context, db *gorm.DB) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok || db.DefaultTransactionTimeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, db.DefaultTransactionTimeout)
}

// again reports whether a transaction that failed with err may succeed when tried anew.
func again(server *dialect.Server, err error) bool {
	if errors.Is(err, ErrCommitUnknown) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	switch server.Class(err) {
	case dialect.Conflict, dialect.Busy, dialect.Lost, dialect.LeftOpen:
		return true
	}
	return errors.Is(err, ErrChanged)
}

// answerLost reports whether COMMIT ended without the server's word on what became of it.
func answerLost(ctx context.Context, server *dialect.Server, err error) bool {
	return server.Class(err) == dialect.Lost || ctx.Err() != nil
}

func (p *Plugin) txOptions(server *dialect.Server) []*sql.TxOptions {
	if options := server.TxOptions(); options != nil && !p.defaultIsolation {
		return []*sql.TxOptions{options}
	}
	return nil
}

// pause waits before the next attempt, or until the context ends.
func pause(ctx context.Context, attempt int) error {
	longest := min(firstPause<<min(attempt, 10), longestPause)
	select {
	case <-time.After(rand.N(longest)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// transaction is what the callbacks know of the transaction that a statement belongs to.
type transaction struct {
	server *dialect.Server
	gone   error // set once the server has ended the transaction

	// Of a transaction that the application has begun:
	caller  *gorm.DB     // how it knows it; nil for one of usher's own
	outer   *transaction // what it is in InTx of the application's, if it is in one
	inside  bool         // in the body of an InTx
	seesAll bool         // what others have committed
}

type transactionKey struct{}

// transactionOf is the transaction of usher's that a statement belongs to, or nil. It is in
// the context, which a new session keeps, and in the settings, which WithContext keeps.
func transactionOf(db *gorm.DB) *transaction {
	if state, ok := db.Statement.Context.Value(transactionKey{}).(*transaction); ok {
		return state
	}
	state, _ := db.Get(Name)
	found, _ := state.(*transaction)
	return found
}

// noteIfGone remembers a conflict: the server has rolled back, and on MySQL and MariaDB the
// next statement would be committed on its own.
func noteIfGone(db *gorm.DB) {
	state := transactionOf(db)
	if state == nil || state.gone != nil {
		return
	}
	err := db.Error
	if row, ok := db.Statement.Dest.(*sql.Row); ok && row != nil { // it keeps its error for Scan
		err = row.Err()
	}
	if err == nil || !state.endedBy(err) {
		return
	}
	state.end(err)
	if state.caller != nil && db.Error != nil {
		db.Error = asGone(db.Error)
	}
}

// refuseIfGone stops statements after a conflict.
func refuseIfGone(db *gorm.DB) {
	if state := transactionOf(db); state != nil && state.gone != nil {
		_ = db.AddError(asGone(state.gone))
	}
}
