// Command tasks uses the locking plugin for a table of its own: several workers take tasks,
// each task is taken once.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"sync"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
)

// Task is a row that a worker takes.
type Task struct {
	ID    int64
	State string `gorm:"size:20;index"`
}

func main() {
	ctx := context.Background()
	db, err := gorm.Open(sqlite.Open("tasks.db?_busy_timeout=10000&_journal_mode=WAL"))
	check(err)
	check(db.Use(locking.New()))
	check(db.AutoMigrate(&Task{}))
	tasks := make([]Task, 25)
	for i := range tasks {
		tasks[i].State = "new"
	}
	check(db.Create(&tasks).Error)
	var workers sync.WaitGroup
	for worker := range 3 {
		workers.Go(func() {
			for {
				tasks, err := take(ctx, db)
				check(err)
				if len(tasks) == 0 {
					return
				}
				for _, task := range tasks {
					fmt.Println("worker", worker, "has task", task.ID)
				}
			}
		})
	}
	workers.Wait()
}

// take takes up to ten tasks that nobody else has or is about to take.
func take(ctx context.Context, db *gorm.DB) ([]Task, error) {
	tasks, err := locking.InTx(ctx, db, func(tx *gorm.DB) ([]Task, error) {
		var tasks []Task
		err := tx.Clauses(locking.SkipLocked()).Where("state = ?", "new").Order("id").Limit(10).Find(&tasks).Error
		if err != nil || len(tasks) == 0 {
			return nil, err
		}
		taken := tx.Model(&tasks).Where("state = ?", "new").Update("state", "taken")
		if taken.RowsAffected != int64(len(tasks)) {
			return nil, cmp.Or(taken.Error, locking.ErrChanged) // the whole of it is tried again
		}
		return tasks, taken.Error
	})
	return tasks, err
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
