package repo

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// DagSetting is a setting of a DAG for [Repo.SetDag].
type DagSetting func(changes map[string]any) error

// MaxActiveRuns limits the DAG's own runs to n at a time; 0 lets none start. Runs that are
// running already go on, whatever the new limit.
func MaxActiveRuns(n int) DagSetting {
	return func(changes map[string]any) error {
		changes["max_active_runs"] = n
		return checkLimit(n)
	}
}

// DefaultLimit gives the DAG the repository's default limit (see [WithMaxActiveRuns]).
func DefaultLimit() DagSetting {
	return func(changes map[string]any) error { changes["max_active_runs"] = nil; return nil }
}

// Paused keeps the DAG's queued runs queued, those of its backfills too, or lets them go.
func Paused(paused bool) DagSetting {
	return func(changes map[string]any) error { changes["is_paused"] = paused; return nil }
}

// Stale marks a DAG whose definition is gone, which has the same effect as [Paused], or unmarks it.
func Stale(stale bool) DagSetting {
	return func(changes map[string]any) error { changes["is_stale"] = stale; return nil }
}

// SetDag changes the settings given and leaves the others, and returns the DAG as it is then.
// A DAG that does not exist is made first: neither paused nor stale, with the default limit.
// It waits for passes that hold the DAG's gates, so once it has returned no run starts that the
// new settings forbid. It returns [ErrInvalid] for an id that no DAG can have or a
// negative limit. With any other error the settings may have been changed, but passes that began
// before may still go by the old ones: call it again.
func (r *Repo) SetDag(ctx context.Context, dagID string, settings ...DagSetting) (models.Dag, error) {
	ctx, verb := r.begin(ctx, "set DAG")
	changes := map[string]any{}
	for _, set := range settings {
		if err := set(changes); err != nil {
			return models.Dag{}, verb.end(err)
		}
	}
	if err := checkID("DAG id", dagID); err != nil {
		return models.Dag{}, verb.end(err)
	}
	if err := r.makeDag(ctx, dagID); err != nil {
		return models.Dag{}, verb.end(err)
	}
	dag, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (models.Dag, error) {
		dag := models.Dag{DagID: dagID}
		if _, err := r.hold(tx, []Gate{{DagGate, dagID, 0}}, waiting); err != nil {
			return dag, err
		}
		if len(changes) > 0 {
			if err := tx.Model(&dag).UpdateColumns(maps.Clone(changes)).Error; err != nil {
				return dag, err
			}
		}
		return dag, tx.Take(&dag).Error
	})
	if err == nil {
		err = r.awaitBackfillsOf(ctx, dagID)
	}
	return dag, verb.end(err)
}

// makeDag inserts the DAG unless it is there. It looks first: a table of Airflow's has columns
// that must not be NULL and that usher does not know.
func (r *Repo) makeDag(ctx context.Context, dagID string) error {
	var n int64
	if err := r.db.WithContext(ctx).Model(&models.Dag{}).Where("dag_id = ?", dagID).Count(&n).Error; err != nil || n > 0 {
		return err
	}
	_, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (struct{}, error) {
		return struct{}{}, tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&models.Dag{DagID: dagID}).Error
	})
	return err
}

// awaitBackfillsOf waits for the passes that hold gates of the DAG's backfills. They may have
// read the DAG row as it was before its change, which is committed by now; a pass that takes a
// gate later reads the change.
func (r *Repo) awaitBackfillsOf(ctx context.Context, dagID string) error {
	ids, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (ids []int64, err error) {
		return ids, tx.Model(&models.Backfill{}).Where("dag_id = ?", dagID).Order("id").Pluck("id", &ids).Error
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ids, 500) {
		gates := make([]Gate, len(some))
		for i, id := range some {
			gates[i] = Gate{BackfillGate, dagID, id}
		}
		_, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (struct{}, error) {
			_, err := r.hold(tx, gates, waiting)
			return struct{}{}, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Dag returns one DAG, or [ErrDagNotFound], or [ErrInvalid] for an id that no DAG can have.
func (r *Repo) Dag(ctx context.Context, dagID string) (models.Dag, error) {
	var dag models.Dag
	if err := checkID("DAG id", dagID); err != nil {
		return dag, fmt.Errorf("get DAG: %w", err)
	}
	err := r.db.WithContext(ctx).Where("dag_id = ?", dagID).Take(&dag).Error
	return dag, r.explain("get DAG", notFound(err, ErrDagNotFound, dagID))
}

// Dags returns all DAGs, by id.
func (r *Repo) Dags(ctx context.Context) ([]models.Dag, error) {
	var dags []models.Dag
	err := r.db.WithContext(ctx).Order("dag_id").Find(&dags).Error
	return dags, r.explain("list DAGs", err)
}
