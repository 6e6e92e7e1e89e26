package locking_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
)

var ctx = context.Background()

// Account is a row of the application's, which has a limit.
type Account struct {
	ID    int64
	Limit int
}

// Payment is one of an account's, of which there may be no more than its limit.
type Payment struct {
	ID        int64
	AccountID int64
	State     string
}

// accounts are rows to hold.
var accounts = locking.Rows{Model: &Account{}}

// The plugin is for any database: what fits it is found out at the first use.
func ExampleNew() {
	db, done := testdb.ForExample() // gorm.Open(postgres.Open(dsn)), say
	defer done()

	fmt.Println(db.Use(locking.New()))
	// Output: <nil>
}

// A program says at its start what it has found, or that it cannot work there.
func ExampleServer() {
	db, done := open()
	defer done()

	server, err := locking.Server(ctx, db)
	must(err)
	fmt.Println(server.Engine, "-", server.Strategy)
	// Output: SQLite - single writer
}

// No account has more payments than its limit, however many processes try at once: who adds one
// holds the account first, and counts after.
func ExampleHold() {
	db, done := open()
	defer done()

	pay := func(account int64) error {
		_, err := locking.InTx(ctx, db, func(tx *gorm.DB) (any, error) {
			held, err := locking.Hold(tx, accounts, []int64{account})
			if err != nil || len(held) == 0 {
				return nil, cmp.Or(err, errors.New("somebody else is at it"))
			}
			var of Account
			var payments int64
			err = errors.Join(tx.First(&of, account).Error, tx.Model(&Payment{}).Where("account_id = ?", account).Count(&payments).Error)
			if err != nil || int(payments) >= of.Limit {
				return nil, cmp.Or(err, errors.New("the limit is reached"))
			}
			return nil, tx.Create(&Payment{AccountID: account, State: "new"}).Error
		})
		return err
	}
	for range 3 {
		fmt.Println(pay(1))
	}
	// Output:
	// <nil>
	// <nil>
	// the limit is reached
}

// Once a limit has been lowered, nobody is still adding what the old one allowed.
func ExampleAwait() {
	db, done := open()
	defer done()

	_, err := locking.InTx(ctx, db, func(tx *gorm.DB) (any, error) {
		if _, err := locking.Await(tx, accounts, []int64{1}); err != nil {
			return nil, err
		}
		return nil, tx.Model(&Account{ID: 1}).Update("limit", 0).Error
	})
	fmt.Println(err)
	// Output: <nil>
}

// Somebody asks why nothing moves.
func ExampleHeld() {
	db, done := open()
	defer done()

	_, err := locking.InTx(ctx, db, func(tx *gorm.DB) (any, error) {
		_, err := locking.Hold(tx, accounts, []int64{1})
		must(err)
		held, err := locking.Held(ctx, db, accounts, []int64{1}) // as another process would
		fmt.Println(held)
		return nil, err
	})
	must(err)
	held, err := locking.Held(ctx, db, accounts, []int64{1})
	must(err)
	fmt.Println(held)
	// Output:
	// [1]
	// []
}

// Several workers take payments from a table, each payment once.
func ExampleSkipLocked() {
	db, done := open()
	defer done()
	must(db.Create([]Payment{{State: "new"}, {State: "new"}, {State: "new"}}).Error)

	take := func() ([]Payment, error) {
		return locking.InTx(ctx, db, func(tx *gorm.DB) ([]Payment, error) {
			var payments []Payment
			err := tx.Clauses(locking.SkipLocked()).Where("state = ?", "new").Order("id").Limit(2).Find(&payments).Error
			if err != nil || len(payments) == 0 {
				return nil, err
			}
			taken := tx.Model(&payments).Where("state = ?", "new").Update("state", "taken")
			if taken.RowsAffected != int64(len(payments)) {
				return nil, cmp.Or(taken.Error, locking.ErrChanged) // the whole of it is tried again
			}
			return payments, taken.Error
		})
	}
	for range 3 {
		payments, err := take()
		fmt.Println(len(payments), err)
	}
	// Output:
	// 2 <nil>
	// 1 <nil>
	// 0 <nil>
}

// What the transaction made is returned once it is committed, and not if it failed.
func ExampleInTx() {
	db, done := open()
	defer done()

	payment, err := locking.InTx(ctx, db, func(tx *gorm.DB) (Payment, error) {
		payment := Payment{AccountID: 1}
		return payment, tx.Create(&payment).Error
	})
	fmt.Println(payment.ID, err)
	payment, err = locking.InTx(ctx, db, func(tx *gorm.DB) (Payment, error) {
		payment := Payment{AccountID: 1}
		must(tx.Create(&payment).Error)
		return payment, errors.New("the bank says no")
	})
	fmt.Println(payment.ID, err)
	// Output:
	// 1 <nil>
	// 0 the bank says no
}

// An application counts how often its transactions are tried again.
func ExampleOnRetry() {
	db, done := open()
	defer done()
	ctx := locking.OnRetry(ctx, func(retry locking.Retry) { fmt.Println("attempt", retry.Attempt, "failed:", retry.Err) })

	quiet := false
	_, err := locking.InTx(ctx, db, func(*gorm.DB) (any, error) {
		if !quiet {
			quiet = true
			return nil, locking.ErrChanged
		}
		return nil, nil
	})
	fmt.Println(err)
	// Output:
	// attempt 1 failed: rows were changed by another transaction
	// <nil>
}

// A sum is of one instant, though others go on paying.
func ExampleSnapshot() {
	db, done := open()
	defer done()
	count := func(db *gorm.DB) (n int64, err error) { return n, db.Model(&Payment{}).Count(&n).Error }

	counts, err := locking.Snapshot(ctx, db, func(tx *gorm.DB) (counts [2]int64, err error) {
		counts[0], err = count(tx)
		must(err)
		must(db.Create(&Payment{AccountID: 1}).Error) // by another process
		counts[1], err = count(tx)
		return counts, err
	})
	must(err)
	now, err := count(db)
	must(err)
	fmt.Println(counts, now)
	// Output: [0 0] 1
}

// Code that works with InTx works in a transaction of the application's as well. What it did is
// undone when it fails; the transaction goes on.
func ExampleJoin() {
	db, done := open()
	defer done()

	err := db.Transaction(func(tx *gorm.DB) error {
		joined, err := locking.Join(tx, &Payment{})
		if err != nil {
			return err
		}
		for _, refused := range []error{nil, errors.New("the bank says no")} {
			_, err := locking.InTx(ctx, joined, func(tx *gorm.DB) (any, error) {
				must(tx.Create(&Payment{AccountID: 1}).Error)
				return nil, refused
			})
			fmt.Println(err)
		}
		return nil
	})
	must(err)
	var payments int64
	must(db.Model(&Payment{}).Count(&payments).Error)
	fmt.Println(payments)
	// Output:
	// <nil>
	// the bank says no
	// 1
}

// What an error means is the same on every engine.
func ExampleIs() {
	db, done := open()
	defer done()

	err := db.Create(&Account{ID: 1}).Error // there is one already
	fmt.Println(locking.Is(db, err, dialect.Duplicate), locking.Is(db, err, dialect.Conflict))
	// Output: true false
}

// open is a database with the plugin and one account, whose limit is 2; done removes it.
func open() (db *gorm.DB, done func()) {
	db, done = testdb.ForExample()
	must(db.Use(locking.New()))
	must(db.AutoMigrate(&Account{}, &Payment{}))
	must(db.Create(&Account{ID: 1, Limit: 2}).Error)
	return db, done
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
