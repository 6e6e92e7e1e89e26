package repo

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// Finish ends the given attempt of a run, in state success or failed, and frees its slot. The
// run is the value that [Repo.Admit] returned (ID and ClearNumber are what matters).
//
// It returns [ErrAttempt] when the run has been queued again since, [ErrState] when it has
// ended already, [ErrRunNotFound], or [ErrInvalid] for another state. Nothing is changed then.
func (r *Repo) Finish(ctx context.Context, run models.DagRun, state models.State) error {
	ctx, verb := r.begin(ctx, "finish run")
	if err := checkState(state, models.Success, models.Failed); err != nil {
		return verb.end(err)
	}
	now, _, err := r.now(ctx)
	if err != nil {
		return verb.end(err)
	}
	_, err = locking.InTx(ctx, r.db, func(tx *gorm.DB) (struct{}, error) {
		return struct{}{}, finish(tx, run, ending(state, now))
	})
	if err == nil {
		r.ring.free(GateOf(run))
		r.changed(ctx, state, run)
	}
	return verb.end(err)
}

// unfinished are the states of runs that can be finished.
var unfinished = []models.State{models.Queued, models.Running}

// ending is what changes when a run ends.
func ending(state models.State, now clause.Expr) map[string]any {
	return map[string]any{"state": state, "end_date": now, "updated_at": now}
}

// finish ends an attempt of a run, or says why it cannot.
func finish(tx *gorm.DB, run models.DagRun, columns map[string]any) error {
	ended := tx.Model(&models.DagRun{}).Where("id = ? AND clear_number = ? AND state IN ?", run.ID, run.ClearNumber, unfinished).UpdateColumns(columns)
	if ended.Error != nil || ended.RowsAffected == 1 {
		return ended.Error
	}
	found, err := current(tx, run)
	if err == nil {
		err = fmt.Errorf("%w: %s of DAG %s has ended already, in %s", ErrState, found.RunID, found.DagID, found.State)
	}
	return err
}

// Clear queues the given attempt of a run again, whatever its state, and returns the run as it
// is then: the next attempt, with clear_number one higher. Whoever still executes the old one
// finds that its [Repo.Finish] changes nothing. A run that is queued stays in its attempt and
// is queued as of now. It returns [ErrAttempt] or [ErrRunNotFound].
func (r *Repo) Clear(ctx context.Context, run models.DagRun) (models.DagRun, error) {
	ctx, verb := r.begin(ctx, "clear run")
	cleared, err := r.change(ctx, run, models.Queued)
	return cleared, verb.end(err)
}

// GiveBack queues the given attempt of a run again, as [Repo.Clear] does, but only while it is
// running: it is for who executes the attempt and cannot bring it to its end. It returns
// [ErrState] when the attempt has ended meanwhile, [ErrAttempt] or [ErrRunNotFound], and
// changes nothing then.
func (r *Repo) GiveBack(ctx context.Context, run models.DagRun) (models.DagRun, error) {
	ctx, verb := r.begin(ctx, "give run back")
	queued, err := r.change(ctx, run, models.Queued, models.Running)
	return queued, verb.end(err)
}

// SetState moves the given attempt of a run to a state by the table of
// [models.DagRun.SetState], and returns the run as it is then. To running it goes through the
// run's gate, waiting for it if it is held. To queued it is [Repo.Clear].
//
// It returns [ErrFull] when the gate lets no run in, [ErrAttempt], [ErrRunNotFound], or
// [ErrInvalid] for a state that does not exist.
func (r *Repo) SetState(ctx context.Context, run models.DagRun, state models.State) (models.DagRun, error) {
	ctx, verb := r.begin(ctx, "set state")
	if err := checkState(state, models.Queued, models.Running, models.Success, models.Failed); err != nil {
		return run, verb.end(err)
	}
	changed, err := r.change(ctx, run, state)
	return changed, verb.end(err)
}

// change moves an attempt of a run to a state, in a transaction that holds the run, and its
// gate if it is to run. The run must be in one of the states from, if any are given.
func (r *Repo) change(ctx context.Context, run models.DagRun, to models.State, from ...models.State) (models.DagRun, error) {
	gate, err := r.gateToEnter(ctx, run, to)
	if err != nil {
		return run, err
	}
	var was models.State
	changed, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (models.DagRun, error) {
		if _, err := r.hold(tx, gate, waiting); err != nil {
			return run, err
		}
		if _, err := locking.Await(tx, locking.Rows{Model: &run}, []int64{run.ID}); err != nil {
			return run, err
		}
		found, err := current(tx, run)
		if err != nil {
			return run, err
		}
		was = found.State
		if len(from) > 0 && !slices.Contains(from, found.State) {
			return run, fmt.Errorf("%w: %s of DAG %s is %s", ErrState, found.RunID, found.DagID, found.State)
		}
		if len(gate) > 0 && found.State != models.Running {
			if gate[0] != GateOf(found) {
				return run, locking.ErrChanged // it has gone to another gate since
			}
			if err := r.mustLetIn(tx, found); err != nil {
				return run, err
			}
		}
		changed, err := r.move(tx, found, to)
		if err == nil && to == models.Running && found.State != to {
			err = r.mustFit(tx, []models.DagRun{changed})
		}
		return changed, err
	})
	if err == nil && to != models.Running {
		r.ring.free(GateOf(changed))
	}
	if err == nil && to != was {
		r.changed(ctx, to, changed)
	}
	return changed, err
}

// gateToEnter is the gate of a run that is to start, read before the transaction and from the
// database: the caller's value may have no more than the run's id.
func (r *Repo) gateToEnter(ctx context.Context, run models.DagRun, to models.State) ([]Gate, error) {
	if to != models.Running {
		return nil, nil
	}
	var found models.DagRun
	if err := r.db.WithContext(ctx).Where("id = ?", run.ID).Take(&found).Error; err != nil {
		return nil, notFound(err, ErrRunNotFound, run.ID)
	}
	return []Gate{GateOf(found)}, nil
}

// current reads a run, and refuses an attempt that is not its latest.
func current(tx *gorm.DB, run models.DagRun) (found models.DagRun, err error) {
	if err := tx.Where("id = ?", run.ID).Take(&found).Error; err != nil {
		return found, notFound(err, ErrRunNotFound, run.ID)
	}
	if found.ClearNumber != run.ClearNumber {
		return found, fmt.Errorf("%w: %s of DAG %s is %s at attempt %d, not %d", ErrAttempt, found.RunID, found.DagID, found.State, found.ClearNumber, run.ClearNumber)
	}
	return found, nil
}

// mustLetIn refuses a run when its gate, which is held, has no room for it.
func (r *Repo) mustLetIn(tx *gorm.DB, run models.DagRun) error {
	open, err := r.capacity(tx, []Gate{GateOf(run)})
	if err == nil && len(open) == 0 {
		err = fmt.Errorf("%w: %s of DAG %s stays %s, since the gate of %s is full, paused or stale", ErrFull, run.RunID, run.DagID, run.State, GateOf(run))
	}
	return err
}

// move writes the change from the run as found, guarded by what was found.
func (r *Repo) move(tx *gorm.DB, found models.DagRun, to models.State) (models.DagRun, error) {
	now, err := r.read(tx)
	if err != nil {
		return found, err
	}
	run := found
	run.SetState(to, now)
	if found.State == to && to != models.Queued {
		return found, nil
	}
	if to == models.Queued && found.State != models.Queued {
		run.ClearNumber++
	}
	if to == models.Running {
		run.ScheduledByJobID = r.job.Load()
	}
	run.UpdatedAt = now
	if to == found.State && run.QueuedAt.Equal(found.QueuedAt.Time) && run.UpdatedAt.Equal(found.UpdatedAt.Time) {
		return found, nil // queued at this very instant already: the engine might count no row as changed
	}
	moved := tx.Model(&models.DagRun{}).
		Where("id = ? AND clear_number = ? AND COALESCE(state, '') = ?", found.ID, found.ClearNumber, found.State).
		Select("state", "queued_at", "start_date", "end_date", "clear_number", "scheduled_by_job_id", "updated_at").UpdateColumns(&run)
	if moved.Error == nil && moved.RowsAffected != 1 {
		return found, locking.ErrChanged
	}
	return run, moved.Error
}
