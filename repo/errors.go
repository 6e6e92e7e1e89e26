package repo

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
)

var (
	// ErrInvalid is returned for arguments that cannot be right: an empty or over-long id, a
	// negative limit, an unknown state. The message says which and what to do.
	ErrInvalid = errors.New("invalid")
	// ErrDagNotFound is returned when there is no DAG of that id.
	ErrDagNotFound = errors.New("no such DAG")
	// ErrRunNotFound is returned when there is no run of that id.
	ErrRunNotFound = errors.New("no such run")
	// ErrBackfillNotFound is returned when there is no backfill of that id.
	ErrBackfillNotFound = errors.New("no such backfill")
	// ErrExists is returned by [Repo.Enqueue] when the DAG has a run of that run_id or logical date.
	ErrExists = errors.New("the run exists already")
	// ErrState is returned when the state of a run does not allow the change, such as finishing
	// a run that has ended.
	ErrState = errors.New("refused by the run's state")
	// ErrCompleted is returned when the backfill has ended, so that it can neither be changed nor cancelled.
	ErrCompleted = errors.New("the backfill has ended")
	// ErrAttempt is returned when the run has been queued again since: the caller holds an older
	// attempt, and nothing was changed.
	ErrAttempt = errors.New("the run has been queued again, so this attempt no longer counts")
	// ErrFull is returned by [Repo.SetState] when a run may not start because its gate lets
	// none in: it is full, paused or stale.
	ErrFull = errors.New("the gate lets no run in")
	// ErrNotPeriodic is returned for a backfill by a schedule that has no dates of its own, such as @once.
	ErrNotPeriodic = errors.New("the schedule is not periodic, so there are no dates to backfill")
	// ErrDateOrder is returned for a backfill whose range ends before it begins.
	ErrDateOrder = errors.New("the range of dates ends before it begins")
	// ErrFuture is returned for a backfill whose whole range is still to come.
	ErrFuture = errors.New("the range of dates is in the future")
	// ErrNoDates is returned for a backfill that would be empty: its schedule has no date in the
	// range that is over.
	ErrNoDates = errors.New("the schedule has no date in the range that is over by now")
	// ErrBackfillActive is returned when another backfill of the DAG is active, or, with
	// [WithParallelBackfills], one whose range overlaps.
	ErrBackfillActive = errors.New("another backfill of the DAG is active")
	// ErrNotEnded is returned by [Repo.ResumeBackfill] for a backfill that is active.
	ErrNotEnded = errors.New("the backfill has not ended, so there is nothing to resume")
	// ErrNoneFailed is returned by [Repo.ResumeBackfill] for a backfill without failed runs.
	ErrNoneFailed = errors.New("no run of the backfill has failed, so there is nothing to resume")
	// ErrDead is returned by [Repo.Beat] and [Repo.Leave] when the scheduler was silent for so
	// long that others took it for dead. Its runs are no longer its own.
	ErrDead = errors.New("this scheduler was taken for dead and its runs were given to others: register again")
	// ErrNoTables is returned when the tables, or columns of them, do not exist.
	ErrNoTables = errors.New("usher's tables are missing or older: run `usher migrate`, or call Repo.Migrate")
)

// explain names the errors of the database that have a name here; others it leaves as they are.
func (r *Repo) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	err = locking.Told(r.db, err)
	if locking.Is(r.db, err, dialect.Missing) {
		err = fmt.Errorf("%w (%w)", ErrNoTables, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Transient reports whether what failed with err may succeed when it is tried again later: it
// lost too many conflicts, the answer to its COMMIT or the connection, found the disk full or
// the server read-only, as a node is that rejoins its cluster, or ran out of its own time, as
// [context.DeadlineExceeded] says.
func (r *Repo) Transient(err error) bool {
	for _, passes := range []error{locking.ErrContention, locking.ErrCommitUnknown, context.DeadlineExceeded} {
		if errors.Is(err, passes) {
			return true
		}
	}
	for _, passes := range []dialect.Class{dialect.Conflict, dialect.Busy, dialect.Lost, dialect.Full, dialect.LeftOpen, dialect.ReadOnly} {
		if locking.Is(r.db, err, passes) {
			return true
		}
	}
	return false
}

// notFound turns GORM's answer for no row into the error that says what was not there.
func notFound(err, missing error, id any) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return fmt.Errorf("%w: %v", missing, id)
	}
	return err
}
