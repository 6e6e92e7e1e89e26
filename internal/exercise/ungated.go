package exercise

import (
	"context"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Ungated is the race that usher exists to end: count the running runs of a gate, then start
// as many as seem to fit. It locks the runs that it takes with SKIP LOCKED, so that no run is
// started twice, and so it looks safe; but two schedulers count before either has committed.
// It is the control of the tests and the first half of the demo, and breaks limits on purpose.
func Ungated(db *gorm.DB, g repo.Gate, limit int) func(context.Context) ([]models.DagRun, error) {
	mine := func(tx *gorm.DB) *gorm.DB {
		tx = tx.Model(&models.DagRun{}).Where("dag_id = ?", g.DagID)
		if g.Kind == repo.BackfillGate {
			return tx.Where("backfill_id = ?", g.BackfillID)
		}
		return tx.Where("backfill_id IS NULL")
	}
	count := func(tx *gorm.DB) (n int64, err error) {
		return n, mine(tx).Where("state = ?", models.Running).Count(&n).Error
	}
	return func(ctx context.Context) ([]models.DagRun, error) {
		server, err := locking.Server(ctx, db)
		if err != nil {
			return nil, err
		}
		early, err := count(db.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		return locking.InTx(ctx, db, func(tx *gorm.DB) (runs []models.DagRun, err error) {
			running := early // with a single writer, a count in the transaction would be safe
			if server.Strategy != dialect.SingleWriter {
				if running, err = count(tx); err != nil {
					return nil, err
				}
			}
			if running >= int64(limit) {
				return nil, nil
			}
			err = mine(tx).Clauses(locking.SkipLocked()).Where("state = ?", models.Queued).Order("id").Limit(limit - int(running)).Find(&runs).Error
			for i := 0; err == nil && i < len(runs); i++ {
				err = tx.Model(&models.DagRun{}).Where("id = ?", runs[i].ID).UpdateColumns(map[string]any{"state": models.Running, "start_date": gorm.Expr(server.Now())}).Error
			}
			return runs, err
		})
	}
}
