package repo_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"gorm.io/gorm"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Delivery is a row that workers took by locking of their own, before there was usher.
type Delivery struct {
	ID   int64
	Done bool
}

// deliver queues the run of a delivery. It may be there already.
func deliver(ctx context.Context, r *repo.Repo, delivery Delivery) error {
	_, err := r.Enqueue(ctx, models.DagRun{DagID: "deliver", RunID: strconv.FormatInt(delivery.ID, 10)})
	if errors.Is(err, repo.ErrExists) {
		return nil
	}
	return err
}

// take queues a delivery in the old way, as a row, and in the new, or in neither.
func take(ctx context.Context, db *gorm.DB, r *repo.Repo, delivery *Delivery) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		in, err := r.WithTx(tx)
		if err != nil {
			return err
		}
		if err := tx.Create(delivery).Error; err != nil {
			return err
		}
		return deliver(ctx, in, *delivery)
	})
}

// execute is the handler. What the old workers have done it finds done, and what it does itself
// they would, if they were started again.
func execute(ctx context.Context, db *gorm.DB, run models.DagRun) error {
	var delivery Delivery
	if err := db.WithContext(ctx).Where("id = ?", run.RunID).Take(&delivery).Error; err != nil || delivery.Done {
		return err
	}
	fmt.Println("delivering", delivery.ID)
	return db.WithContext(ctx).Model(&delivery).Update("done", true).Error
}

// Coming from locking of one's own: the new queue fills beside the old one, until the old workers stop.
func Example_ownLocking() {
	db, done := database()
	defer done()
	r := over(db)
	must(db.AutoMigrate(&Delivery{}))
	must(db.Create(&Delivery{}).Error) // it waited before there was usher

	_, err := r.SetDag(ctx, "deliver", repo.MaxActiveRuns(1), repo.Paused(true))
	must(err)
	must(take(ctx, db, r, &Delivery{})) // new ones are queued in both ways from now on
	must(take(ctx, db, r, &Delivery{}))
	var waiting []Delivery
	must(db.Where("NOT done").Find(&waiting).Error)
	for _, delivery := range waiting {
		must(deliver(ctx, r, delivery))
	}
	runs, err := r.Admit(ctx)
	must(err)
	fmt.Println("started while the old workers go on:", len(runs))
	must(db.Model(&Delivery{}).Where("id = ?", 2).Update("done", true).Error) // by the last of them

	_, err = r.SetDag(ctx, "deliver", repo.Paused(false)) // they have stopped, and drained
	must(err)
	for runs, err := range r.AdmitAll(ctx) {
		must(err)
		for _, run := range runs {
			must(execute(ctx, db, run))
			must(r.Finish(ctx, run, models.Success))
		}
	}
	// Output:
	// started while the old workers go on: 0
	// delivering 3
	// delivering 1
}
