// Command glebarez is a scheduler of the tests on SQLite through github.com/glebarez/sqlite, which
// cannot be in one program with the other pure driver. It is a module of its own so that nobody
// gets that driver by way of usher.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

func main() {
	file := flag.String("file", "", "the database")
	journal := flag.String("journal", "WAL", "SQLite's journal_mode")
	pool := flag.Int("pool", 20, "the connections")
	var config gorm.Config
	flag.BoolVar(&config.PrepareStmt, "prepare", false, "PrepareStmt")
	flag.BoolVar(&config.TranslateError, "translate", false, "TranslateError")
	flag.Parse()
	dsn := "file:" + *file + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(" + *journal + ")"
	if err := run(dsn, *pool, &config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is a scheduler that tells the test what it starts and ends.
func run(dsn string, connections int, config *gorm.Config) error {
	db, err := open(dsn, config)
	if err != nil {
		return err
	}
	pool, err := db.DB()
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(connections)
	r, err := repo.New(db)
	if err != nil {
		return err
	}
	s := exercise.Scheduler{Repo: r, Counter: exercise.NewRemote(os.Stdout, os.Stdin), Admit: r.Admit, Work: 3 * time.Millisecond, Final: models.Success}
	return s.Run(context.Background())
}

func open(dsn string, config *gorm.Config, options ...locking.Option) (*gorm.DB, error) {
	config.Logger = logger.Discard
	db, err := gorm.Open(sqlite.Open(dsn), config)
	if err != nil {
		return nil, err
	}
	return db, db.Use(locking.New(options...))
}
