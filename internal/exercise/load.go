package exercise

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// FirstDay is the logical date of the first run that [Backfill] makes.
var FirstDay = time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)

// Backfill makes an active backfill of a DAG with n queued daily runs, in the order of their
// dates, and returns its gate.
func Backfill(ctx context.Context, db *gorm.DB, r *repo.Repo, dagID string, limit, n int) (repo.Gate, error) {
	last := FirstDay.AddDate(0, 0, n-1)
	b := models.Backfill{
		DagID: dagID, FromDate: models.At(FirstDay), ToDate: models.At(last), MaxActiveRuns: limit,
		ReprocessBehavior: models.ReprocessNone, CreatedAt: models.At(last), UpdatedAt: models.At(last),
	}
	if err := db.WithContext(ctx).Create(&b).Error; err != nil {
		return repo.Gate{}, fmt.Errorf("make backfill: %w", err)
	}
	g := repo.Gate{Kind: repo.BackfillGate, DagID: dagID, BackfillID: b.ID}
	return g, Extend(ctx, db, r, g, n)
}

// Extend adds n queued daily runs to a backfill, after those that it has.
func Extend(ctx context.Context, db *gorm.DB, r *repo.Repo, g repo.Gate, n int) error {
	var first int64
	if err := db.WithContext(ctx).Model(&models.BackfillDagRun{}).Where("backfill_id = ?", g.BackfillID).Count(&first).Error; err != nil {
		return err
	}
	runs := make([]models.DagRun, n)
	for i := range runs {
		day := models.At(FirstDay.AddDate(0, 0, int(first)+i))
		runs[i] = models.DagRun{DagID: g.DagID, BackfillID: &g.BackfillID, RunAfter: day, RunID: fmt.Sprintf("backfill_%d__%s", g.BackfillID, day.Format("2006-01-02"))}
	}
	runs, err := r.Enqueue(ctx, runs...)
	if err != nil {
		return err
	}
	places := make([]models.BackfillDagRun, n)
	for i, run := range runs {
		places[i] = models.BackfillDagRun{BackfillID: g.BackfillID, DagRunID: &run.ID, LogicalDate: run.RunAfter, SortOrdinal: int(first) + i + 1}
	}
	for some := range slices.Chunk(places, 1000) {
		if err := db.WithContext(ctx).Create(some).Error; err != nil {
			return fmt.Errorf("order backfill: %w", err)
		}
	}
	return nil
}
