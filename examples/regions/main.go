// Command regions is a scheduler in one of several regions, each with a node of a Galera cluster.
// One gate limits the runs of all regions together. When a region's node goes, its scheduler
// goes on with the next one; when the region goes, the others take its runs over.
//
//	go run ./examples/regions usher:password@tcp(east:3306)/usher usher:password@tcp(west:3306)/usher   # in the east
//	go run ./examples/regions usher:password@tcp(west:3306)/usher usher:password@tcp(east:3306)/usher   # in the west
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"time"

	gomysql "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/runner"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	nodes, err := nearestFirst(os.Args[1:])
	check(err)
	db, err := gorm.Open(mysql.New(mysql.Config{Conn: sql.OpenDB(nodes)}), &gorm.Config{Logger: logger.Discard})
	check(err)
	check(db.Use(locking.New())) // finds the cluster: gates are fenced, since a lock stays on its node
	r, err := repo.New(db)
	check(err)
	check(r.Migrate(ctx))
	_, err = r.SetDag(ctx, "sync", repo.MaxActiveRuns(3))
	check(err)
	// The cluster stands still for 5 s when a node goes: nobody is to be taken for dead for that.
	check(runner.Run(ctx, r, handle, runner.Poll(100*time.Millisecond), runner.Heartbeat(time.Second), runner.DeadAfter(15*time.Second), runner.Logger(slog.Default())))
}

func handle(_ context.Context, run models.DagRun) error {
	fmt.Println("started", run.RunID)
	time.Sleep(50 * time.Millisecond)
	fmt.Println("ending", run.RunID)
	return nil
}

// nodes connects to the first node that answers, in their order.
type nodes []driver.Connector

func nearestFirst(dsns []string) (all nodes, err error) {
	for _, dsn := range dsns {
		config, err := gomysql.ParseDSN(dsn)
		if err != nil {
			return nil, err
		}
		config.ParseTime, config.Timeout, config.ReadTimeout = true, time.Second, 10*time.Second
		node, err := gomysql.NewConnector(config)
		if err != nil {
			return nil, err
		}
		all = append(all, node)
	}
	if len(all) == 0 {
		return nil, errors.New("name the nodes of the cluster, the nearest first")
	}
	return all, nil
}

// Connect implements [driver.Connector]. A node that has left the cluster still answers, but not
// to a question.
func (n nodes) Connect(ctx context.Context) (driver.Conn, error) {
	var errs []error
	for _, node := range n {
		connection, err := node.Connect(ctx)
		if err == nil {
			if err = ready(ctx, connection); err == nil {
				return connection, nil
			}
			_ = connection.Close()
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func ready(ctx context.Context, connection driver.Conn) error {
	_, err := connection.(driver.ExecerContext).ExecContext(ctx, "DO 1", nil)
	return err
}

// Driver implements [driver.Connector].
func (n nodes) Driver() driver.Driver { return n[0].Driver() }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
