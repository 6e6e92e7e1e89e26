package repo

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// clearBatch is how many runs one statement holds or changes.
const clearBatch = 500

// ClearQuery says which runs [Repo.ClearRuns] queues again: those that fit all of it.
type ClearQuery struct {
	// DagID is the DAG. It is required.
	DagID string
	// From and To bound the logical dates, both included; zero leaves that end open. A run
	// without a logical date fits only when both are zero.
	From, To models.Time
	// States are the states: success, failed or running. Defaults to success and failed.
	States []models.State
	// BackfillID is the backfill; 0 for all runs, of backfills or not.
	BackfillID int64
	// DryRun changes nothing: the runs are returned as they would be.
	DryRun bool
}

// ClearRuns queues runs again, all that fit the query or, with an error, none, each as its
// next attempt (see [Repo.Clear]), and returns them as they are then, by id. Runs that come
// to fit it in the course of the call are left alone. To clear a run overwrites the times of
// the attempt before.
//
// It returns [ErrInvalid], or, when no run fits, [ErrDagNotFound] or [ErrBackfillNotFound] if
// that is why.
func (r *Repo) ClearRuns(ctx context.Context, q ClearQuery) ([]models.DagRun, error) {
	ctx, verb := r.begin(ctx, "clear runs")
	if err := q.check(); err != nil {
		return nil, verb.end(err)
	}
	var ids []int64
	if err := q.fitting(r.db.WithContext(ctx)).Model(&models.DagRun{}).Order("id").Pluck("id", &ids).Error; err != nil {
		return nil, verb.end(err)
	}
	if len(ids) == 0 {
		return nil, verb.end(r.whyNone(ctx, q))
	}
	if q.DryRun {
		runs, err := r.found(r.db.WithContext(ctx), q, ids)
		if err != nil {
			return nil, verb.end(err)
		}
		now, err := r.read(r.db.WithContext(ctx))
		return again(runs, now), verb.end(err)
	}
	cleared, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) ([]models.DagRun, error) {
		return r.clearHeld(tx, q, ids)
	})
	for _, g := range gatesOf(cleared) {
		r.ring.free(g)
	}
	if err == nil {
		r.changed(ctx, models.Queued, cleared...)
	}
	return cleared, verb.end(err)
}

// check fills in the default, and refuses what makes no sense.
func (q *ClearQuery) check() error {
	if len(q.States) == 0 {
		q.States = []models.State{models.Success, models.Failed}
	}
	for _, state := range q.States {
		if err := checkState(state, models.Success, models.Failed, models.Running); err != nil {
			return err
		}
	}
	if !q.From.IsZero() && !q.To.IsZero() && q.To.Before(q.From.Time) {
		return fmt.Errorf("%w range: it ends at %s, before it begins at %s", ErrInvalid, isoformat(q.To), isoformat(q.From))
	}
	return checkID("DAG id", q.DagID)
}

// fitting is the query for the runs that fit.
func (q ClearQuery) fitting(db *gorm.DB) *gorm.DB {
	db = db.Where("dag_id = ? AND state IN ?", q.DagID, q.States)
	if !q.From.IsZero() {
		db = db.Where("logical_date >= ?", q.From)
	}
	if !q.To.IsZero() {
		db = db.Where("logical_date <= ?", q.To)
	}
	if q.BackfillID != 0 {
		db = db.Where("backfill_id = ?", q.BackfillID)
	}
	return db
}

// whyNone is the error that says why no run fits, if there is one: what was named does not exist.
func (r *Repo) whyNone(ctx context.Context, q ClearQuery) error {
	var b models.Backfill
	if _, err := r.Dag(ctx, q.DagID); err != nil || q.BackfillID == 0 {
		return err
	}
	err := r.db.WithContext(ctx).Where("id = ? AND dag_id = ?", q.BackfillID, q.DagID).Take(&b).Error
	return notFound(err, ErrBackfillNotFound, fmt.Sprintf("%d of DAG %s", q.BackfillID, q.DagID))
}

// found are those of the runs that fit now.
func (r *Repo) found(db *gorm.DB, q ClearQuery, ids []int64) (runs []models.DagRun, err error) {
	for some := range slices.Chunk(ids, clearBatch) {
		var found []models.DagRun
		if err := q.fitting(db).Where(withIDs(db, some)).Find(&found).Error; err != nil {
			return nil, err
		}
		runs = append(runs, found...)
	}
	return byID(runs), nil
}

// clearHeld is the transaction: all runs are held, then read, then changed.
func (r *Repo) clearHeld(tx *gorm.DB, q ClearQuery, ids []int64) ([]models.DagRun, error) {
	for some := range slices.Chunk(ids, clearBatch) {
		if _, err := locking.Await(tx, locking.Rows{Model: &models.DagRun{}}, some); err != nil {
			return nil, err
		}
	}
	runs, err := r.found(tx, q, ids)
	if err != nil {
		return nil, err
	}
	now, err := r.read(tx)
	if err != nil {
		return nil, err
	}
	return again(runs, now), queueAgain(tx, runs, now, nil, r.meter(len(runs)))
}
