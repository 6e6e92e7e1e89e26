package locking

import "errors"

var (
	// ErrNoPlugin is returned when the *gorm.DB has not been given the plugin.
	ErrNoPlugin = errors.New("usher's plugin is not installed: call db.Use(locking.New()) after gorm.Open")
	// ErrNoTransaction is returned by [Hold], [Await] and queries with [SkipLocked] outside a
	// transaction, where a lock ends with its statement and protects nothing.
	ErrNoTransaction = errors.New("lock outside a transaction: use locking.InTx or db.Transaction")
	// ErrNested is returned by [InTx] for a *gorm.DB that is a transaction already: its
	// isolation and its retries are not usher's to choose.
	ErrNested = errors.New("already in a transaction: pass the *gorm.DB that it began from")
	// ErrContention is returned by [InTx] when every attempt lost a conflict or timed out
	// waiting for a lock; in a transaction that was joined there is one attempt. Nothing was
	// changed; it may be tried again later. It wraps the last cause.
	ErrContention = errors.New("gave up after repeated conflicts with other transactions")
	// ErrCommitUnknown is returned by [InTx] when the answer to COMMIT was lost: the
	// transaction may have been committed or not. It wraps the cause.
	ErrCommitUnknown = errors.New("the answer to COMMIT was lost, so the transaction may or may not have happened")
	// ErrGone is what a statement returns after an earlier one met a conflict: the server has
	// ended the transaction, and what follows would take effect on its own. In a transaction that
	// was joined ([Join]) it is also what met the conflict, or lost the connection.
	ErrGone = errors.New("the transaction is gone: roll it back and begin a new one")
	// ErrSnapshot is returned in a transaction of the application's ([Join]) that does not, or
	// may not, see what others have committed since it began: what is decided on would be old.
	// Nothing was changed, and the transaction can go on with other things.
	ErrSnapshot = errors.New("the transaction may not see what others have committed: begin one at READ COMMITTED")
	// ErrDryRun is returned by what needs an answer from the database, when GORM's DryRun keeps it
	// from asking: [Hold] and [Await], which have shown their SQL by then, and [Held].
	ErrDryRun = errors.New("nothing is executed with DryRun, and this needs an answer from the database")
	// ErrChanged is for the body of [InTx] to return when rows are not as it read them. The
	// whole transaction is tried again, as after a conflict.
	ErrChanged = errors.New("rows were changed by another transaction")
)
