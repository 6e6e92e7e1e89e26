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
// Any number of schedulers may call it at once: each run is recovered once. It touches the
// schedulers of usher and their runs only, not what Airflow's own schedulers have started, nor
// runs in nobody's name. It returns [ErrInvalid] for another state or a silence that is not
// positive; with an error some runs may have been recovered, which it returns.
func (r *Repo) Recover(ctx context.Context, silence time.Duration, to models.State) ([]models.DagRun, error) {
	if err := checkState(to, models.Queued, models.Failed); err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	if silence <= 0 {
		return nil, fmt.Errorf("recover: %w silence %s: give the time after which a scheduler is taken for dead", ErrInvalid, silence)
	}
	now, err := locking.InTx(ctx, r.db, r.read)
	if err != nil {
		return nil, r.explain("recover", err)
	}
	var recovered []models.DagRun
	for {
		some, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) ([]models.DagRun, error) {
			if err := bury(tx, now, silence); err != nil {
				return nil, err
			}
			return r.takeBack(tx, to)
		})
		for _, run := range some {
			r.ring.free(GateOf(run))
		}
		recovered = append(recovered, some...)
		if err != nil || len(some) < recoverBatch {
			return recovered, r.explain("recover", err)
		}
	}
}

// bury ends the schedulers that have been silent for too long. A clock that was read before
// the transaction can only spare one.
func bury(tx *gorm.DB, now models.Time, silence time.Duration) error {
	return tx.Model(&models.Job{}).Where(alive+" AND latest_heartbeat < ?", models.At(now.Add(-silence))).
		UpdateColumns(map[string]any{"state": models.Failed, "end_date": now}).Error
}

// takeBack moves runs that dead schedulers have in hand, and returns them as they are then.
// Who changes one of them at the same time, by finishing it say, is seen by the count.
func (r *Repo) takeBack(tx *gorm.DB, to models.State) (runs []models.DagRun, err error) {
	ids, owners, err := r.orphans(tx)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
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
	moved := tx.Model(&models.DagRun{}).Where("id IN ? AND COALESCE(state, '') = ? AND scheduled_by_job_id IN ?", pad(ids), models.Running, pad(owners)).
		UpdateColumns(changes)
	if moved.Error != nil {
		return nil, moved.Error
	}
	if moved.RowsAffected != int64(len(ids)) {
		return nil, locking.ErrChanged
	}
	return runs, tx.Where("id IN ?", pad(ids)).Order("id").Find(&runs).Error
}

// orphans finds runs that schedulers have in hand which are no longer alive, and which those are.
func (r *Repo) orphans(tx *gorm.DB) (ids, owners []int64, err error) {
	var found []struct{ ID, ScheduledByJobID int64 }
	err = tx.Raw(r.sql(`SELECT r.id AS id, r.scheduled_by_job_id AS scheduled_by_job_id FROM {dag_run} r{by index} WHERE r.state = 'running'
		AND (SELECT 1 FROM {job} j WHERE j.id = r.scheduled_by_job_id AND j.job_type = ? AND j.state <> 'running' LIMIT 1) IS NOT NULL
		ORDER BY r.id LIMIT ?`), models.UsherScheduler, recoverBatch).Scan(&found).Error
	for _, run := range found {
		ids = append(ids, run.ID)
		if !slices.Contains(owners, run.ScheduledByJobID) {
			owners = append(owners, run.ScheduledByJobID)
		}
	}
	return ids, owners, err
}
