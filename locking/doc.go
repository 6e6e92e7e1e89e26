// Package locking holds rows and runs transactions, in the way that fits the database it finds.
//
// It is responsible for:
//   - the plugin ([New]), which finds the engine at first use and keeps what it found;
//   - transactions that are tried again whole when they lost a conflict ([InTx]);
//   - transactions that read everything as of one instant ([Snapshot]);
//   - holding rows for the rest of a transaction ([Hold], [Await]), and the clause
//     [SkipLocked] for queries of the application's own.
//
// It is the only place of usher where a transaction begins and a lock is written. It does not
// know what the rows mean: that is package repo.
//
// Start with [Hold]. An application uses the package for its own tables like this:
//
//	err := db.Use(locking.New())
//	done, err := locking.InTx(ctx, db, func(tx *gorm.DB) ([]Task, error) {
//		var tasks []Task
//		err := tx.Clauses(locking.SkipLocked()).Where("state = ?", "new").Order("id").Limit(10).Find(&tasks).Error
//		…
//	})
package locking
