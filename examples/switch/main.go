// Command switch is one application on SQLite, PostgreSQL, MySQL or MariaDB: nothing but the DSN
// says which.
//
//	go run ./examples/switch sqlite:switch.db
//	go run ./examples/switch postgres://user:password@localhost:5432/orders
//	go run ./examples/switch mysql://user:password@localhost:3306/orders
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	gomysql "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/runner"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("give one DSN: sqlite:PATH, postgres://… or mysql://…")
	}
	dialector, err := dialectorOf(os.Args[1])
	check(err)
	db, err := gorm.Open(dialector, &gorm.Config{})
	check(err)
	check(db.Use(locking.New())) // finds the engine; from here on there is none
	r, err := repo.New(db)
	check(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	check(r.Migrate(ctx))
	_, err = r.SetDag(ctx, "orders", repo.MaxActiveRuns(3))
	check(err)
	for n := range 20 { // of processes that are started at once, one queues each
		_, err := r.Enqueue(ctx, models.DagRun{DagID: "orders", RunID: fmt.Sprintf("order-%d", n)})
		if !errors.Is(err, repo.ErrExists) {
			check(err)
		}
	}
	check(runner.Run(ctx, r, handle, runner.Poll(100*time.Millisecond)))
}

func handle(_ context.Context, run models.DagRun) error {
	fmt.Println("started", run.RunID)
	time.Sleep(50 * time.Millisecond)
	fmt.Println("ending", run.RunID)
	return nil
}

// dialectorOf is all that knows of engines: GORM's drivers each have a DSN of their own.
func dialectorOf(dsn string) (gorm.Dialector, error) {
	scheme, path, _ := strings.Cut(dsn, ":")
	switch scheme {
	case "sqlite":
		return sqlite.Open(path + "?_busy_timeout=10000&_journal_mode=WAL"), nil
	case "postgres":
		return postgres.Open(dsn), nil
	case "mysql": // MariaDB too
		u, err := url.Parse(dsn)
		if err != nil {
			return nil, err
		}
		config := gomysql.NewConfig() // times in UTC
		config.User, config.Net, config.Addr, config.DBName, config.ParseTime = u.User.Username(), "tcp", u.Host, strings.Trim(u.Path, "/"), true
		config.Passwd, _ = u.User.Password()
		return mysql.Open(config.FormatDSN()), nil
	}
	return nil, fmt.Errorf("unknown scheme %q: use sqlite, postgres or mysql", scheme)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
