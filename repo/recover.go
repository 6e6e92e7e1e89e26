package repo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// recoverBatch is how many runs are recovered in one transaction.
const recoverBatch = 500

// Recover takes the schedulers whose last heartbeat is older than silence for dead, by the
// database's clock, and moves the runs of all that are no longer alive from running to a state:
// to queued, as the next attempt, or to failed. It returns those runs as they are then. A
// scheduler that was only slow learns of it from [Repo.Beat], and its [Repo.Finish] changes
// nothing. What such a one admits after it was taken for dead is found the next time.
//
// Any number of schedulers may call it at once: each run is recovered once. Where the engine can
// pass over rows that a transaction of somebody else holds, it does: what a scheduler holds that
// is stopped in the middle of a transaction delays no other, and is found the next time. It
// touches the schedulers of usher and their runs only, not what Airflow's own schedulers have
// started, nor runs in nobody's name. It returns [ErrInvalid] for another state or a silence that is not
// positive; with an error some runs may have been recovered, which it returns.
func (r *Repo) Recover(ctx context.Context, silence time.Duration, to models.State) ([]models.DagRun, error) {
	ctx, verb := r.begin(ctx, "recover")
	if err := r.apart(); err != nil {
		return nil, verb.end(err)
	}
	if err := checkState(to, models.Queued, models.Failed); err != nil {
		return nil, verb.end(err)
	}
	if silence <= 0 {
		return nil, verb.end(fmt.Errorf("%w silence %s: give the time after which a scheduler is taken for dead", ErrInvalid, silence))
	}
	silent, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (silent, error) { return r.silent(tx, silence) })
	if err != nil {
		return nil, verb.end(err)
	}
	var recovered []models.DagRun
	for last := (batch{}); ; {
		last, err = locking.InTx(ctx, r.db, func(tx *gorm.DB) (batch, error) {
			if err := silent.bury(tx); err != nil {
				return batch{}, err
			}
			return r.takeBack(tx, to, last.end)
		})
		for _, run := range last.runs {
			r.ring.free(GateOf(run))
		}
		r.recovered(ctx, to, last.runs)
		recovered = append(recovered, last.runs...)
		if err != nil || !last.more {
			return recovered, verb.end(err)
		}
	}
}

// batch is what one transaction has recovered.
type batch struct {
	runs []models.DagRun
	end  int64 // the highest id that it has looked at
	more bool  // whether there may be runs beyond
}

// silent are the schedulers that had not beaten since, at the instant now.
type silent struct {
	ids        []int64
	since, now models.Time
}

// silent finds them. A scheduler that beats meanwhile is spared by bury. They are not sorted by
// the engine, which might walk all schedulers that ever were, in the order of their ids.
func (r *Repo) silent(tx *gorm.DB, silence time.Duration) (found silent, err error) {
	if found.now, err = r.read(tx); err != nil {
		return found, err
	}
	found.since = models.At(found.now.Add(-silence))
	err = tx.Model(&models.Job{}).Where(alive+" AND latest_heartbeat < ?", found.since).Pluck("id", &found.ids).Error
	return found, err
}

// bury ends them, but for those whose rows somebody holds. Its hold is the first statement of the
// transaction, and has keys even when nobody is silent, since on SQLite it must be a write. It
// goes by their ids: on its way through the index it would collide with heartbeats.
func (s silent) bury(tx *gorm.DB) error {
	held, err := locking.Hold(tx, locking.Rows{Model: &models.Job{}}, pad(append([]int64{0}, s.ids...)))
	if err != nil || len(held) == 0 {
		return err
	}
	return tx.Model(&models.Job{}).Where(withIDs(tx, held)).Where("COALESCE(state, '') = ? AND latest_heartbeat < ?", models.Running, s.since).
		UpdateColumns(map[string]any{"state": models.Failed, "end_date": s.now}).Error
}

// takeBack moves runs that dead schedulers have in hand, beyond an id, but for those whose rows
// somebody holds, and returns them as they are then. Who changes one of them before it is held, by
// finishing it say, is seen by the count.
func (r *Repo) takeBack(tx *gorm.DB, to models.State, beyond int64) (done batch, err error) {
	ids, owners, err := r.orphans(tx, beyond)
	if err != nil || len(ids) == 0 {
		return batch{}, err
	}
	done = batch{end: ids[len(ids)-1], more: len(ids) == recoverBatch}
	held, err := locking.Hold(tx, locking.Rows{Model: &models.DagRun{}}, pad(ids))
	if err != nil || len(held) == 0 {
		return done, err
	}
	done.runs, err = r.moveHeld(tx, slices.Compact(held), owners, to)
	return done, err
}

// moveHeld moves held runs of the owners to a state.
func (r *Repo) moveHeld(tx *gorm.DB, ids, owners []int64, to models.State) (runs []models.DagRun, err error) {
	now, err := r.read(tx)
	if err != nil {
		return nil, err
	}
	changes := map[string]any{"state": to, "end_date": now, "updated_at": now}
	if to == models.Queued {
		changes = map[string]any{
			"state": to, "queued_at": now, "start_date": nil, "end_date": nil, "updated_at": now, "clear_number": gorm.Expr("clear_number + 1"),
		}
	}
	moved := tx.Model(&models.DagRun{}).Where(withIDs(tx, ids)).Where("COALESCE(state, '') = ? AND scheduled_by_job_id IN ?", models.Running, pad(owners)).
		UpdateColumns(changes)
	if moved.Error != nil {
		return nil, moved.Error
	}
	if moved.RowsAffected != int64(len(ids)) {
		return nil, locking.ErrChanged
	}
	err = tx.Where(withIDs(tx, ids)).Find(&runs).Error
	return byID(runs), err
}

// orphans finds runs, beyond an id, that schedulers have in hand which are no longer alive, and
// which those are.
func (r *Repo) orphans(tx *gorm.DB, beyond int64) (ids, owners []int64, err error) {
	var found []struct{ ID, ScheduledByJobID int64 }
	err = tx.Raw(r.sql(`SELECT r.id AS id, r.scheduled_by_job_id AS scheduled_by_job_id FROM {dag_run} r{by index} WHERE r.state = 'running' AND r.id > ?
		AND (SELECT 1 FROM {job} j WHERE j.id = r.scheduled_by_job_id AND j.job_type = ? AND j.state <> 'running' LIMIT 1) IS NOT NULL
		ORDER BY r.id LIMIT ?`), beyond, models.UsherScheduler, recoverBatch).Scan(&found).Error
	for _, run := range found {
		ids = append(ids, run.ID)
		if !slices.Contains(owners, run.ScheduledByJobID) {
			owners = append(owners, run.ScheduledByJobID)
		}
	}
	return ids, owners, err
}
