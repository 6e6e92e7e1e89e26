package repo

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// emptyFor is how long a backfill without any date is taken to be still in the making, as in
// Airflow (SchedulerJobRunner._mark_backfills_complete).
const emptyFor = 2 * time.Minute

// sweepBatch is how many backfills are looked at in one transaction.
const sweepBatch = 100

// CompleteBackfills ends the active backfills that have no run queued or running, and returns
// them. One without any date, which may be still in the making, is left alone for two minutes.
// Any number of schedulers may call it at once; a gate that is held is passed over. With an error
// some backfills may have been ended, which it returns.
func (r *Repo) CompleteBackfills(ctx context.Context) ([]models.Backfill, error) {
	ctx, verb := r.begin(ctx, "complete backfills")
	if err := r.apart(); err != nil {
		return nil, verb.end(err)
	}
	var completed []models.Backfill
	for after := int64(0); ; {
		var ids []int64
		err := r.db.WithContext(ctx).Model(&models.Backfill{}).Where("completed_at IS NULL AND id > ?", after).Order("id").Limit(sweepBatch).Pluck("id", &ids).Error
		if err != nil || len(ids) == 0 {
			return completed, verb.end(err)
		}
		after = ids[len(ids)-1]
		some, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) ([]models.Backfill, error) { return r.complete(tx, ids) })
		if err != nil {
			return completed, verb.end(err)
		}
		r.over(ctx, some...)
		completed = append(completed, some...)
	}
}

// complete ends those of the backfills that are over. Under the hold nothing of them starts.
func (r *Repo) complete(tx *gorm.DB, ids []int64) ([]models.Backfill, error) {
	gates := make([]Gate, len(ids))
	for i, id := range ids {
		gates[i] = Gate{Kind: BackfillGate, BackfillID: id}
	}
	held, err := r.hold(tx, gates, passingOver)
	if err != nil || len(held) == 0 {
		return nil, err
	}
	now, err := r.read(tx)
	if err != nil {
		return nil, err
	}
	ids = ids[:0:0]
	for _, g := range held {
		ids = append(ids, g.BackfillID)
	}
	var over []models.Backfill
	err = tx.Raw(r.sql(`SELECT {g.*} FROM {backfill} g WHERE g.id IN ? AND g.completed_at IS NULL
		AND (SELECT 1 FROM {dag_run} r{by index} WHERE r.state = 'queued' AND r.backfill_id = g.id AND r.dag_id = g.dag_id LIMIT 1) IS NULL
		AND (SELECT 1 FROM {dag_run} r{by index} WHERE r.state = 'running' AND r.backfill_id = g.id AND r.dag_id = g.dag_id LIMIT 1) IS NULL
		AND (g.created_at < ? OR (SELECT 1 FROM {backfill_dag_run} o WHERE o.backfill_id = g.id LIMIT 1) IS NOT NULL)
		ORDER BY g.id`), ids, models.At(now.Add(-emptyFor))).Scan(&over).Error
	if err != nil || len(over) == 0 {
		return nil, err
	}
	ids = ids[:0:0]
	for i := range over {
		over[i].CompletedAt, over[i].UpdatedAt = now, now
		ids = append(ids, over[i].ID)
	}
	ended := tx.Model(&models.Backfill{}).Where(withIDs(tx, ids)).Where("completed_at IS NULL").UpdateColumns(map[string]any{"completed_at": now, "updated_at": now})
	if ended.Error == nil && ended.RowsAffected != int64(len(ids)) {
		return nil, locking.ErrChanged
	}
	return over, ended.Error
}
