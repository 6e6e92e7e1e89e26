package repo

import (
	"fmt"
	"log/slog"
	"time"
)

// WithClock replaces the database's clock, for tests. Defaults to the database's clock.
func WithClock(now func() time.Time) Option {
	return func(r *Repo) error { r.clock = now; return nil }
}

// WithLogger is where the repository tells of what it does: at level debug of each pass and of each
// transaction that is tried again; at info of runs that were taken back from dead schedulers and of
// backfills that are over; at warn when the answer to a COMMIT was lost; at error when an
// [Observer] panics. It tells ids, counts and errors, never a configuration nor a DSN. Defaults to nowhere.
func WithLogger(logger *slog.Logger) Option {
	return func(r *Repo) error {
		if logger == nil {
			return fmt.Errorf("%w logger: it is nil", ErrInvalid)
		}
		r.logger = logger
		return nil
	}
}

// WithProgress is called in the course of long work in one call, such as [Repo.Enqueue] of
// thousands of runs or [Repo.CreateBackfill], with the number of rows done and the total. Nothing is committed before
// the call returns. Defaults to nothing.
func WithProgress(report func(done, total int)) Option {
	return func(r *Repo) error { r.progress = report; return nil }
}

// WithJob is the id of the scheduler's row in job, which is stamped on the runs that it
// admits (scheduled_by_job_id). It is for a scheduler that goes on under the identity that it
// had before it was restarted; a new one calls [Repo.Register]. Defaults to none.
func WithJob(id int64) Option {
	return func(r *Repo) error { r.job.Store(&id); return nil }
}

// WithParallelBackfills lets a DAG have several active backfills, as long as the ranges of
// their dates do not overlap. Whoever makes backfills of a DAG must be given the same.
// Defaults to one active backfill of a DAG at a time.
func WithParallelBackfills() Option {
	return func(r *Repo) error { r.parallelBackfills = true; return nil }
}

// WithMaxActiveRuns is the limit of a DAG whose own is NULL; 0 lets none start. Every
// scheduler must be given the same. Defaults to 16, as in Airflow's configuration.
func WithMaxActiveRuns(n int) Option {
	return func(r *Repo) error {
		r.maxActiveRuns = n
		return checkLimit(n)
	}
}

// WithGatesPerPass bounds the gates of each kind that one pass walks to, from 1 to 200, and those
// that it has just freed and tries first. Defaults to 100.
func WithGatesPerPass(n int) Option {
	return func(r *Repo) error {
		if n < 1 || n > 200 {
			return fmt.Errorf("%w gates per pass %d: use 1 to 200", ErrInvalid, n)
		}
		r.gatesPerPass = n
		return nil
	}
}

// WithRunsPerPass bounds the runs that one pass starts, from 1 to 10,000. Defaults to 500.
func WithRunsPerPass(n int) Option {
	return func(r *Repo) error {
		if n < 1 || n > 10_000 {
			return fmt.Errorf("%w runs per pass %d: use 1 to 10000", ErrInvalid, n)
		}
		r.runsPerPass = n
		return nil
	}
}
