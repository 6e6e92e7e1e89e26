package locking

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/usher-go/usher/dialect"
)

// The statements around what [InTx] does in a transaction that it has joined.
const (
	savepoint         = "SAVEPOINT usher_joined"
	rollBackSavepoint = "ROLLBACK TO SAVEPOINT usher_joined"
	releaseSavepoint  = "RELEASE SAVEPOINT usher_joined"
)

// Join returns tx, a transaction that the application has begun, as a *gorm.DB with which
// [InTx] works: it runs its body in tx, once, and neither commits nor rolls back. It is for one
// goroutine at a time, as tx is.
//
// An error of the body undoes what the body did, by a savepoint, and leaves tx as usable as it
// was. But after a conflict or a lost connection tx is gone: InTx returns [ErrGone], and so do
// later statements, through tx as well.
//
// What is read after a hold must not be older than the hold, at whatever isolation level the
// application has chosen. Where a level other than READ COMMITTED can hide what others have
// committed, [Hold] and [Await] return [ErrSnapshot]. On MySQL and MariaDB, where the level
// cannot be asked for, queries that GORM builds are locking reads within the body, and see the
// latest; raw ones are not (see [MayBeStale]). Where there is one writer, Join makes tx the
// writer, by an update of no row of the table of model: do not read in tx before, or the engine
// may refuse to wait for another writer.
//
// It returns [ErrNoTransaction], [ErrNoPlugin], [ErrGone], [ErrContention], or the database's error.
func Join(tx *gorm.DB, model any) (*gorm.DB, error) {
	p, err := plugin(tx)
	if err != nil {
		return nil, err
	}
	if !inTransaction(tx) {
		return nil, ErrNoTransaction
	}
	if tx.Error != nil { // it did not begin, or is gone
		return nil, tx.Error
	}
	ctx := tx.Statement.Context
	server, err := p.detect(ctx, tx)
	if err != nil {
		return nil, err
	}
	t := &transaction{server: server, outer: transactionOf(tx), caller: tx}
	joined := t.session(ctx, tx)
	if server.Strategy == dialect.SingleWriter {
		table := &gorm.Statement{DB: joined}
		if err := table.Parse(model); err != nil {
			return nil, fmt.Errorf("join transaction: %w", err)
		}
		err = t.told(becomeWriter(joined, clause.Table{Name: table.Table}))
	}
	return joined, err
}

// Joined reports whether db is what [Join] has returned.
func Joined(db *gorm.DB) bool {
	t := transactionOf(db)
	return t != nil && t.caller != nil
}

// MayBeStale reports whether what a raw query reads in the body of an [InTx] that has joined
// the application's transaction may be older than a hold before it. Decide on queries that
// GORM builds then.
func MayBeStale(tx *gorm.DB) bool {
	t := transactionOf(tx)
	return t != nil && t.readsLocked()
}

// readsLocked reports whether queries that GORM builds are to be locking reads now.
func (t *transaction) readsLocked() bool {
	return t.caller != nil && t.inside && t.server.LockingReadsAreLatest()
}

// session is a *gorm.DB of the transaction whose statements know of it: by the context, which a
// new session keeps, and by the settings, which WithContext keeps.
func (t *transaction) session(ctx context.Context, db *gorm.DB) *gorm.DB {
	session := Unprepared(db).WithContext(context.WithValue(ctx, transactionKey{}, t))
	return session.Set(Name, t).Session(&gorm.Session{})
}

// within runs body in the application's transaction.
func within[T any](ctx context.Context, db *gorm.DB, t *transaction, body func(tx *gorm.DB) (T, error)) (value T, err error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	tx := t.session(ctx, db)
	if err := t.enter(tx); err != nil {
		return none, err
	}
	defer func() { t.inside = false }()
	value, err = body(tx)
	if err == nil {
		err = t.gone // which body has passed over
	}
	if err == nil {
		err = t.say(tx, releaseSavepoint)
	}
	if err == nil {
		return value, nil
	}
	return none, t.told(t.undo(tx, err))
}

// enter sets the savepoint. To go back to it at once changes nothing, and fails when the
// transaction has ended behind usher's back: after a conflict, or a statement that commits, the
// server of MySQL and MariaDB would take each further statement for a transaction of its own.
func (t *transaction) enter(tx *gorm.DB) error {
	for _, statement := range []string{savepoint, rollBackSavepoint} {
		if err := t.say(tx, statement); err != nil {
			t.end(err)
			return t.told(err)
		}
	}
	t.inside = true
	return nil
}

// undo takes back what was done since the savepoint, whatever became of the context.
func (t *transaction) undo(tx *gorm.DB, err error) error {
	if t.endedBy(err) {
		t.end(err)
	}
	if t.gone != nil {
		return err
	}
	tx = tx.WithContext(context.WithoutCancel(tx.Statement.Context))
	for _, statement := range []string{rollBackSavepoint, releaseSavepoint} {
		if failed := t.say(tx, statement); failed != nil {
			t.end(failed)
			return errors.Join(err, failed)
		}
	}
	return err
}

// say sends a statement.
func (t *transaction) say(tx *gorm.DB, statement string) error {
	return t.session(tx.Statement.Context, tx).Exec(statement).Error
}

// end remembers that the server has ended the transaction, and stops the statements of whoever
// began it: on MySQL and MariaDB they would be committed on their own.
func (t *transaction) end(err error) {
	if t.gone != nil {
		return
	}
	t.gone = err
	if t.caller != nil {
		_ = t.caller.AddError(asGone(err))
	}
	if t.outer != nil {
		t.outer.end(asGone(err))
	}
}

// endedBy reports whether the server has ended the transaction with an error of a statement.
// What fails in the body of an InTx is undone by the savepoint.
func (t *transaction) endedBy(err error) bool {
	return t.lostBy(err) || t.caller != nil && !t.inside && t.server.Aborted(err)
}

// lostBy reports whether no savepoint can bring the transaction back after an error.
func (t *transaction) lostBy(err error) bool {
	class := t.server.Class(err)
	return class == dialect.Conflict || class == dialect.Lost && t.caller != nil
}

// asGone is an error that has ended a transaction, as its later statements return it.
func asGone(err error) error {
	if errors.Is(err, ErrGone) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrGone, err)
}

// told is the error in the words for an application whose transaction it is.
func (t *transaction) told(err error) error {
	class := t.server.Class(err)
	switch {
	case err == nil || errors.Is(err, ErrGone) || errors.Is(err, ErrSnapshot) || errors.Is(err, ErrContention):
		return err
	case t.gone != nil:
		return asGone(err)
	case errors.Is(err, ErrChanged) && t.server.LockingReadsAreLatest():
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	case errors.Is(err, ErrChanged), class == dialect.Busy:
		return fmt.Errorf("%w: %w", ErrContention, err)
	}
	return err
}

// Told is an error of db, which may be what [Join] has returned, in the words for an application
// whose transaction it is, for what was done outside [InTx]: [ErrGone] after a conflict or a
// lost connection, and [ErrContention] after a lock that was not to be had in time. An engine
// may tell of these only while rows are read, which is after the statement.
func Told(db *gorm.DB, err error) error {
	t := transactionOf(db)
	if err == nil || t == nil || t.caller == nil {
		return err
	}
	if t.lostBy(err) {
		t.end(err)
	}
	return t.told(err)
}

// mustSeeAll refuses a hold in an application's transaction in which others' commits may not be
// seen after it. A level does not change in the course of a transaction.
func (t *transaction) mustSeeAll(tx *gorm.DB) error {
	if t == nil || t.caller == nil || t.seesAll || tx.DryRun || t.server.Strategy == dialect.SingleWriter || t.server.LockingReadsAreLatest() {
		return nil
	}
	query := t.server.IsolationQuery()
	if query == "" {
		return fmt.Errorf("%w: usher does not know what they see on %s", ErrSnapshot, t.server.Engine)
	}
	var level string
	if err := tx.Raw(query).Scan(&level).Error; err != nil {
		return err
	}
	if t.seesAll = level == "read committed" || level == "read uncommitted"; !t.seesAll {
		return fmt.Errorf("%w: it is at %s", ErrSnapshot, level)
	}
	return nil
}
