package repo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/opendb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Order is a row of the application's.
type Order struct{ Number string }

// The run that bills an order is queued when the order is committed, and only then; an order
// whose run is refused is not there either.
func ExampleRepo_WithTx() {
	ctx := context.Background()
	db, r, done := shop(ctx)
	defer done()

	place := func(order Order) error {
		err := db.Transaction(func(tx *gorm.DB) error {
			in, err := r.WithTx(tx)
			if err != nil {
				return err
			}
			if err := tx.Create(&order).Error; err != nil {
				return err
			}
			_, err = in.Enqueue(ctx, models.DagRun{DagID: "bill", RunID: order.Number})
			return err
		})
		return err
	}
	fmt.Println(place(Order{Number: "A1"}))
	fmt.Println(errors.Is(place(Order{Number: "A1"}), repo.ErrExists))

	var orders int64
	must(db.Model(&Order{}).Count(&orders).Error)
	runs, err := r.Admit(ctx)
	must(err)
	fmt.Println(orders, runs[0].RunID, runs[0].State)
	// Output:
	// <nil>
	// true
	// 1 A1 running
}

// shop is a database with a DAG, in a folder that done removes.
func shop(ctx context.Context) (db *gorm.DB, r *repo.Repo, done func()) {
	dir, err := os.MkdirTemp("", "usher")
	must(err)
	dsn, err := opendb.Parse("sqlite:" + filepath.Join(dir, "shop.db"))
	must(err)
	db, err = dsn.Open()
	must(err)
	must(db.AutoMigrate(&Order{}))
	r, err = repo.New(db)
	must(err)
	must(r.Migrate(ctx))
	_, err = r.SetDag(ctx, "bill", repo.MaxActiveRuns(2))
	must(err)
	return db, r, func() {
		pool, err := db.DB()
		must(err)
		must(pool.Close())
		must(os.RemoveAll(dir))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
