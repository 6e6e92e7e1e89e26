package transfer

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// quiet refuses a source on which schedulers are alive, or that is a copy itself.
func (c *copying) quiet(source *gorm.DB) error {
	if mark, err := markOf(source); err != nil || mark != nil {
		if err == nil {
			err = fmt.Errorf("%w, begun at %s", ErrUnfinished, mark.StartDate.Format(time.RFC3339))
		}
		return err
	}
	if c.ahead {
		return nil
	}
	now, err := clock(source)
	if err != nil {
		return err
	}
	var alive []models.Job
	since := models.At(now.Add(-c.silence))
	err = source.Where("job_type = ? AND state = ? AND latest_heartbeat > ?", models.UsherScheduler, models.Running, since).Order("id").Find(&alive).Error
	if err == nil && len(alive) > 0 {
		err = fmt.Errorf("%w: %d have beaten within %s, one of them job %d on %s", ErrAlive, len(alive), c.silence, alive[0].ID, alive[0].Hostname)
	}
	return err
}

// unused refuses a target on which a scheduler has registered since the copy was begun.
func (c *copying) unused(ctx context.Context, source *gorm.DB) error {
	registered, err := locking.InTx(ctx, c.to, func(tx *gorm.DB) (since []models.Job, err error) {
		mark, err := markOf(tx)
		if err != nil || mark == nil {
			return nil, err
		}
		return since, tx.Where("job_type = ? AND start_date > ?", models.UsherScheduler, mark.StartDate).Find(&since).Error
	})
	if err != nil {
		return err
	}
	for _, job := range registered {
		var n int64
		if err := source.Model(&models.Job{}).Where("id = ? AND start_date = ?", job.ID, job.StartDate).Count(&n).Error; err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: scheduler %d has worked there since the copy was begun", ErrForeign, job.ID)
		}
	}
	return nil
}

// clock is the time of a database.
func clock(tx *gorm.DB) (now models.Time, err error) {
	server, err := locking.Server(tx.Statement.Context, tx)
	if err != nil {
		return now, err
	}
	return now, tx.Raw("SELECT " + server.Now()).Row().Scan(&now)
}
