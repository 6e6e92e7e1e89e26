package repo

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// ResumeBackfill makes a backfill that has ended, or was cancelled, active and unpaused again,
// and queues the failed runs of its dates again, each as its next attempt. It returns the
// backfill and those runs, as they are then. A run that [Repo.Enqueue] put into the backfill
// has no date in it: [Repo.ClearRuns] queues such ones again. The gates of the DAG and of the
// backfill are held meanwhile, and waited for.
//
// It returns [ErrBackfillNotFound], [ErrNotEnded], [ErrBackfillActive] when another backfill
// has begun since, or [ErrNoneFailed].
func (r *Repo) ResumeBackfill(ctx context.Context, id int64) (models.Backfill, []models.DagRun, error) {
	ctx, verb := r.begin(ctx, "resume backfill")
	before, err := r.backfill(ctx, id)
	if err != nil {
		return before, nil, verb.end(err)
	}
	gate := Gate{BackfillGate, before.DagID, id}
	type resumed struct {
		models.Backfill
		runs []models.DagRun
	}
	done, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (done resumed, err error) {
		if _, err := r.hold(tx, []Gate{{DagGate, before.DagID, 0}, gate}, waiting); err != nil {
			return done, err
		}
		done.Backfill, done.runs, err = r.resume(tx, id)
		return done, err
	})
	if err == nil {
		r.ring.free(gate) // where runs wait
		r.changed(ctx, models.Queued, done.runs...)
	}
	return done.Backfill, done.runs, verb.end(err)
}

// resume is the transaction, after the hold.
func (r *Repo) resume(tx *gorm.DB, id int64) (b models.Backfill, runs []models.DagRun, err error) {
	if err := tx.Where("id = ?", id).Take(&b).Error; err != nil {
		return b, nil, notFound(err, ErrBackfillNotFound, id)
	}
	if b.CompletedAt.IsZero() {
		return b, nil, fmt.Errorf("%w: backfill %d of DAG %s", ErrNotEnded, b.ID, b.DagID)
	}
	if err := r.mustBeFree(tx, b.DagID, b.FromDate, b.ToDate, b.ID); err != nil {
		return b, nil, err
	}
	now, err := r.read(tx)
	if err != nil {
		return b, nil, err
	}
	runs, err = failedOf(tx, b)
	if err == nil && len(runs) == 0 {
		err = fmt.Errorf("%w: backfill %d of DAG %s", ErrNoneFailed, b.ID, b.DagID)
	}
	if err == nil {
		err = queueAgain(tx, runs, now, nil, r.meter(len(runs)))
	}
	if err != nil {
		return b, nil, err
	}
	b.CompletedAt, b.IsPaused, b.UpdatedAt = models.Time{}, false, now
	return b, again(runs, now), tx.Model(&b).Select("is_paused", "completed_at", "updated_at").UpdateColumns(&b).Error
}

// failedOf are the failed runs of a backfill's dates, by id. They are looked up by their keys,
// for which the conditions are written so that no index serves them: the one on dag_id would
// lead through the whole history of the DAG.
func failedOf(tx *gorm.DB, b models.Backfill) ([]models.DagRun, error) {
	var ids []int64
	err := tx.Model(&models.BackfillDagRun{}).Where("backfill_id = ? AND dag_run_id IS NOT NULL", b.ID).Pluck("dag_run_id", &ids).Error
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	failed := tx.Where("COALESCE(state, '') = ? AND COALESCE(backfill_id, 0) = ? AND COALESCE(dag_id, '') = ?", models.Failed, b.ID, b.DagID)
	runs, err := find[models.DagRun](failed.Session(&gorm.Session{}), "id", ids)
	return byID(runs), err
}
