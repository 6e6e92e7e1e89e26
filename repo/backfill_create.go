package repo

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// CreateBackfill makes a backfill with all its runs, or nothing, and returns it with its dates
// in order. A date that gets no run says why: its run is in flight, or exists already and is
// not to be reprocessed, or its run_id belongs to a run of another date (unknown).
//
// A DAG has one active backfill at a time, whoever makes them (see [WithParallelBackfills]):
// the DAG's gate is held meanwhile, and waited for.
//
// The refusals, in the order in which they are looked for: [ErrInvalid] for the DAG's id,
// [ErrDagNotFound], [ErrNotPeriodic], [ErrDateOrder], [ErrFuture], [ErrInvalid] for the rest of
// the request, [ErrBackfillActive], and [ErrNoDates].
func (r *Repo) CreateBackfill(ctx context.Context, q BackfillRequest) (models.Backfill, []models.BackfillDagRun, error) {
	ctx, verb := r.begin(ctx, "create backfill")
	q, intervals, err := r.prepare(ctx, q)
	if err != nil {
		return models.Backfill{}, nil, verb.end(err)
	}
	made, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (backfillMade, error) {
		made, err := r.create(tx, q, intervals)
		if locking.Is(r.db, err, dialect.Duplicate) {
			err = fmt.Errorf("%w: a run of one of the dates was queued meanwhile: %w", locking.ErrChanged, err)
		}
		return made, err
	})
	if err == nil {
		r.ring.free(Gate{BackfillGate, made.DagID, made.ID}) // where runs wait
		r.changed(ctx, models.Queued, made.runs...)
	}
	return made.Backfill, made.dates, verb.end(err)
}

// DryRunBackfill says what [Repo.CreateBackfill] would make of the request, and writes nothing.
// It refuses what that refuses, but has no error for a range without dates. A date that would
// be queued has neither a reason nor, unless its run exists and would be queued again, a run.
func (r *Repo) DryRunBackfill(ctx context.Context, q BackfillRequest) ([]models.BackfillDagRun, error) {
	q, intervals, err := r.prepare(ctx, q)
	if err != nil {
		return nil, r.explain("dry run of backfill", err)
	}
	db := r.db.WithContext(ctx)
	if err := r.mustBeFree(db, q.DagID, models.At(q.From), models.At(q.To), 0); err != nil {
		return nil, r.explain("dry run of backfill", err)
	}
	plan, err := r.plan(db, q, intervals)
	return places(plan, 0), r.explain("dry run of backfill", err)
}

// BackfillDates returns the dates of a backfill in its order, or [ErrBackfillNotFound].
func (r *Repo) BackfillDates(ctx context.Context, id int64) ([]models.BackfillDagRun, error) {
	if _, err := r.Backfill(ctx, id); err != nil {
		return nil, err
	}
	var dates []models.BackfillDagRun
	err := r.db.WithContext(ctx).Where("backfill_id = ?", id).Order("sort_ordinal, dag_run_id, id").Find(&dates).Error
	return dates, r.explain("list dates of backfill", err)
}

// backfillMade is what a transaction that makes a backfill has made.
type backfillMade struct {
	models.Backfill
	dates []models.BackfillDagRun
	runs  []models.DagRun // if somebody is to be told
}

// create is the transaction. The DAG's gate, held first, keeps out all who would make another
// backfill of the DAG, and what is decided on is read after it.
func (r *Repo) create(tx *gorm.DB, q BackfillRequest, intervals []Interval) (made backfillMade, err error) {
	if _, err := r.hold(tx, []Gate{{DagGate, q.DagID, 0}}, waiting); err != nil {
		return made, err
	}
	if err := tx.Where("dag_id = ?", q.DagID).Take(&models.Dag{}).Error; err != nil {
		return made, notFound(err, ErrDagNotFound, q.DagID)
	}
	if err := r.mustBeFree(tx, q.DagID, models.At(q.From), models.At(q.To), 0); err != nil {
		return made, err
	}
	if len(intervals) == 0 {
		return made, fmt.Errorf("%w: from %s to %s", ErrNoDates, isoformat(models.At(q.From)), isoformat(models.At(q.To)))
	}
	now, err := r.read(tx)
	if err != nil {
		return made, err
	}
	plan, err := r.plan(tx, q, intervals)
	if err != nil {
		return made, err
	}
	made.Backfill = models.Backfill{
		DagID: q.DagID, FromDate: models.At(q.From), ToDate: models.At(q.To), DagRunConf: q.Conf, IsPaused: q.Paused,
		ReprocessBehavior: q.Reprocess, MaxActiveRuns: q.MaxActiveRuns, CreatedAt: now, UpdatedAt: now, TriggeringUserName: q.User,
	}
	if err := tx.Create(&made.Backfill).Error; err != nil {
		return made, err
	}
	made.dates, err = r.fill(tx, q, made.Backfill, plan)
	if err == nil && r.told() {
		err = tx.Where("state = 'queued' AND backfill_id = ? AND dag_id = ?", made.ID, made.DagID).Order("id").Find(&made.runs).Error
	}
	return made, err
}
