package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/usher-go/usher/models"
)

// DefaultRunsLimit is how many runs [Repo.Runs] returns when the query names no limit.
const DefaultRunsLimit = 1000

// RunQuery says which runs [Repo.Runs] returns: those that fit all the fields that are set.
type RunQuery struct {
	// DagID is the DAG; empty for all.
	DagID string
	// State is the state; empty for all.
	State models.State
	// BackfillID is the backfill; 0 for all runs, of backfills or not.
	BackfillID int64
	// After is the id after which the list goes on: the last one of the page before.
	After int64
	// Limit bounds the number of runs. Defaults to 1000.
	Limit int
}

// Run returns the run of that DAG and run_id, or [ErrRunNotFound], or [ErrDagNotFound] when
// there is no such DAG either, or [ErrInvalid] for ids that cannot be.
func (r *Repo) Run(ctx context.Context, dagID, runID string) (models.DagRun, error) {
	var run models.DagRun
	if err := cmp.Or(checkID("DAG id", dagID), checkID("run id", runID)); err != nil {
		return run, fmt.Errorf("get run: %w", err)
	}
	err := r.db.WithContext(ctx).Where("dag_id = ? AND run_id = ?", dagID, runID).Take(&run).Error
	err = notFound(err, ErrRunNotFound, fmt.Sprintf("%s of DAG %s", runID, dagID))
	if errors.Is(err, ErrRunNotFound) {
		if _, dagErr := r.Dag(ctx, dagID); dagErr != nil {
			return run, dagErr
		}
	}
	return run, r.explain("get run", err)
}

// Runs returns the runs that fit the query, by id. It returns [ErrInvalid] for an id
// that no DAG can have, a state that does not exist or a negative limit.
func (r *Repo) Runs(ctx context.Context, q RunQuery) ([]models.DagRun, error) {
	if q.State != "" {
		if err := checkState(q.State, models.Queued, models.Running, models.Success, models.Failed); err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
	}
	if q.Limit < 0 {
		return nil, fmt.Errorf("list runs: %w limit %d: use 0 for the default or a positive number", ErrInvalid, q.Limit)
	}
	if q.Limit == 0 {
		q.Limit = DefaultRunsLimit
	}
	query := r.db.WithContext(ctx).Where("id > ?", q.After)
	if q.DagID != "" {
		if err := checkID("DAG id", q.DagID); err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		query = query.Where("dag_id = ?", q.DagID)
	}
	if q.State != "" {
		query = query.Where("state = ?", q.State)
	}
	if q.BackfillID != 0 {
		query = query.Where("backfill_id = ?", q.BackfillID)
	}
	var runs []models.DagRun
	err := query.Order("id").Limit(q.Limit).Find(&runs).Error
	return runs, r.explain("list runs", err)
}

// byID sorts runs that were asked for by their ids. An engine that is told to may make a plan that
// sorts, or that walks along the keys of all runs.
func byID(runs []models.DagRun) []models.DagRun {
	slices.SortFunc(runs, func(a, b models.DagRun) int { return cmp.Compare(a.ID, b.ID) })
	return runs
}
