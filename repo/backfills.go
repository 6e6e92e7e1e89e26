package repo

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// PauseBackfill keeps the queued runs of an active backfill queued; those that run go on. It
// waits for a pass that holds the backfill's gate, so once it has returned no run of the
// backfill starts. Pausing twice is no error. It returns [ErrBackfillNotFound], or
// [ErrCompleted] when the backfill has ended.
func (r *Repo) PauseBackfill(ctx context.Context, id int64) (models.Backfill, error) {
	return r.pauseBackfill(ctx, "pause backfill", id, true)
}

// UnpauseBackfill lets the queued runs of an active backfill start again. One that is not
// paused is no error. It returns [ErrBackfillNotFound], or [ErrCompleted] when the backfill has ended.
func (r *Repo) UnpauseBackfill(ctx context.Context, id int64) (models.Backfill, error) {
	return r.pauseBackfill(ctx, "unpause backfill", id, false)
}

func (r *Repo) pauseBackfill(ctx context.Context, doing string, id int64, paused bool) (models.Backfill, error) {
	ctx, verb := r.begin(ctx, doing)
	b, err := r.changeBackfill(ctx, id, func(_ *gorm.DB, b *models.Backfill, _ models.Time) error {
		b.IsPaused = paused
		return nil
	})
	return b, verb.end(err)
}

// LimitBackfill changes max_active_runs of an active backfill; 0 lets none start. Runs that are
// running already go on, whatever the new limit. It waits for a pass that holds the backfill's
// gate, so once it has returned no run starts that the new limit forbids. It returns
// [ErrInvalid] for a negative limit, [ErrBackfillNotFound], or [ErrCompleted] when the backfill has ended.
func (r *Repo) LimitBackfill(ctx context.Context, id int64, maxActiveRuns int) (models.Backfill, error) {
	ctx, verb := r.begin(ctx, "limit backfill")
	if err := checkLimit(maxActiveRuns); err != nil {
		return models.Backfill{}, verb.end(err)
	}
	b, err := r.changeBackfill(ctx, id, func(_ *gorm.DB, b *models.Backfill, _ models.Time) error {
		b.MaxActiveRuns = maxActiveRuns
		return nil
	})
	return b, verb.end(err)
}

// CancelBackfill ends an active backfill: its queued runs become failed, those that run go on.
// It waits for a pass that holds the backfill's gate, so once it has returned no run of the
// backfill starts, unless it is queued again. It returns [ErrBackfillNotFound], or
// [ErrCompleted] when the backfill has ended.
func (r *Repo) CancelBackfill(ctx context.Context, id int64) (models.Backfill, error) {
	ctx, verb := r.begin(ctx, "cancel backfill")
	var failed []models.DagRun
	b, err := r.changeBackfill(ctx, id, func(tx *gorm.DB, b *models.Backfill, now models.Time) (err error) {
		b.IsPaused, b.CompletedAt = true, now
		failed, err = r.failQueued(tx, *b, now)
		return err
	})
	if err == nil {
		r.changed(ctx, models.Failed, failed...)
		r.over(ctx, b)
	}
	return b, verb.end(err)
}

// failQueued ends the queued runs of a backfill. It returns them if somebody is to be told.
func (r *Repo) failQueued(tx *gorm.DB, b models.Backfill, now models.Time) (queued []models.DagRun, err error) {
	of := tx.Where("state = 'queued' AND backfill_id = ? AND dag_id = ?", b.ID, b.DagID).Session(&gorm.Session{})
	if r.told() {
		if err := of.Order("id").Find(&queued).Error; err != nil {
			return nil, err
		}
	}
	ended := of.Model(&models.DagRun{}).UpdateColumns(map[string]any{"state": models.Failed, "end_date": now, "updated_at": now})
	if r.told() && ended.Error == nil && ended.RowsAffected != int64(len(queued)) {
		return nil, locking.ErrChanged // one was queued meanwhile
	}
	for i := range queued {
		queued[i].State, queued[i].EndDate, queued[i].UpdatedAt = models.Failed, now, now
	}
	return queued, ended.Error
}

// changeBackfill changes an active backfill in a transaction that holds its gate.
func (r *Repo) changeBackfill(ctx context.Context, id int64, change func(*gorm.DB, *models.Backfill, models.Time) error) (models.Backfill, error) {
	return locking.InTx(ctx, r.db, func(tx *gorm.DB) (b models.Backfill, err error) {
		if _, err := r.hold(tx, []Gate{{Kind: BackfillGate, BackfillID: id}}, waiting); err != nil {
			return b, err
		}
		if err := tx.Where("id = ?", id).Take(&b).Error; err != nil {
			return b, notFound(err, ErrBackfillNotFound, id)
		}
		if !b.CompletedAt.IsZero() {
			return b, fmt.Errorf("%w: backfill %d of DAG %s ended at %s", ErrCompleted, b.ID, b.DagID, isoformat(b.CompletedAt))
		}
		now, err := r.read(tx)
		if err != nil {
			return b, err
		}
		b.UpdatedAt = now
		if err := change(tx, &b, now); err != nil {
			return b, err
		}
		return b, tx.Model(&b).Select("is_paused", "max_active_runs", "completed_at", "updated_at").UpdateColumns(&b).Error
	})
}

// Backfill returns one backfill, or [ErrBackfillNotFound].
func (r *Repo) Backfill(ctx context.Context, id int64) (models.Backfill, error) {
	b, err := r.backfill(ctx, id)
	return b, r.explain("get backfill", err)
}

func (r *Repo) backfill(ctx context.Context, id int64) (b models.Backfill, err error) {
	err = r.db.WithContext(ctx).Where("id = ?", id).Take(&b).Error
	return b, notFound(err, ErrBackfillNotFound, id)
}

// Backfills returns the backfills of a DAG, or of all DAGs when dagID is empty, by id. Without
// ended it leaves out those that have ended. It returns [ErrInvalid] for an id that no DAG can have.
func (r *Repo) Backfills(ctx context.Context, dagID string, ended bool) ([]models.Backfill, error) {
	query := r.db.WithContext(ctx).Order("id")
	if dagID != "" {
		if err := checkID("DAG id", dagID); err != nil {
			return nil, fmt.Errorf("list backfills: %w", err)
		}
		query = query.Where("dag_id = ?", dagID)
	}
	if !ended {
		query = query.Where("completed_at IS NULL")
	}
	var found []models.Backfill
	err := query.Find(&found).Error
	return found, r.explain("list backfills", err)
}
