package transfer

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// An unfinished copy has a mark: a row in job, of a type and with an id that no scheduler has. It is
// put into an empty target, and taken away once all is equal. So whatever a target with a mark
// holds is a copy, which may be mended, and whatever one without holds is not to be touched.
// Each transaction that writes holds the mark first, so two copies at once do not meet.

// copyJob is the type of the mark.
const copyJob = "UsherCopy"

// markOf is the mark of a database, or nil.
func markOf(tx *gorm.DB) (*models.Job, error) {
	var found []models.Job
	err := tx.Where("id = ? AND job_type = ?", first, copyJob).Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// target is in what state the target was found.
type target int

const (
	foreign target = iota // it holds rows, and no mark
	empty                 // it held none, and has been given the mark
	begun                 // it has had the mark before
)

// enter looks at the target, and puts the mark into one that is empty.
func (c *copying) enter(ctx context.Context) (target, error) {
	return locking.InTx(ctx, c.to, func(tx *gorm.DB) (target, error) {
		if _, err := hold(tx); err != nil {
			return foreign, err
		}
		if mark, err := markOf(tx); err != nil || mark != nil {
			return begun, err
		}
		for _, t := range c.tables {
			if n, err := t.count(tx); err != nil || n > 0 {
				return foreign, err
			}
		}
		now, err := clock(tx)
		if err != nil {
			return foreign, err
		}
		return empty, tx.Create(&models.Job{ID: first, State: models.Running, JobType: copyJob, StartDate: now, LatestHeartbeat: now}).Error
	})
}

// hold takes the mark for the rest of the transaction.
func hold(tx *gorm.DB) ([]int64, error) {
	return locking.Await(tx, locking.Rows{Model: &models.Job{}}, []int64{first})
}

// marked is a transaction on the target that holds the mark.
func (c *copying) marked(ctx context.Context, body func(tx *gorm.DB) (meeting, error)) (meeting, error) {
	return locking.InTx(ctx, c.to, func(tx *gorm.DB) (meeting, error) {
		if _, err := hold(tx); err != nil {
			return meeting{}, err
		}
		if mark, err := markOf(tx); err != nil || mark == nil {
			if err == nil {
				err = fmt.Errorf("%w: another copy to it has just been finished", ErrForeign)
			}
			return meeting{}, err
		}
		return body(tx)
	})
}

// leave takes the mark away.
func (c *copying) leave(ctx context.Context) error {
	_, err := c.marked(ctx, func(tx *gorm.DB) (meeting, error) {
		return meeting{}, tx.Delete(&models.Job{ID: first}).Error
	})
	return err
}
