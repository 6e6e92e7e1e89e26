// Command pipeline extracts and loads on a schedule. Start it as often as you like: each date is
// queued once, whoever is first, and the dates that were missed while none ran are a backfill,
// two at a time.
//
//	go run ./examples/pipeline -schedule '*/5 * * * *' -since 2026-01-01T00:00:00Z
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/runner"
	"github.com/usher-go/usher/schedule"
)

func main() {
	expression := flag.String("schedule", "*/5 * * * *", "when to extract, in UTC")
	since := flag.String("since", time.Now().UTC().Format("2006-01-02T00:00:00Z"), "the first date")
	flag.Parse()
	dates, err := schedule.Parse(*expression, time.UTC)
	check(err)
	from, err := time.Parse(time.RFC3339, *since)
	check(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	db, err := gorm.Open(sqlite.Open("pipeline.db?_busy_timeout=10000&_journal_mode=WAL"))
	check(err)
	check(db.Use(locking.New()))
	r, err := repo.New(db)
	check(err)
	check(r.Migrate(ctx))
	for _, step := range []string{"extract", "load"} {
		_, err = r.SetDag(ctx, step, repo.MaxActiveRuns(1))
		check(err)
	}
	p := pipeline{r, dates}
	started := time.Now()
	for _, queueing := range []func(context.Context, time.Time, time.Time) error{p.catchUp, p.keepUp} {
		go func() {
			if err := queueing(ctx, from, started); ctx.Err() == nil {
				check(err)
			}
		}()
	}
	check(runner.Run(ctx, r, p.step, runner.Poll(200*time.Millisecond)))
}

type pipeline struct {
	repo  *repo.Repo
	dates repo.Schedule
}

// catchUp makes a backfill of the dates that are over; those that have a run are left alone. When
// there is a backfill already, of another process or one that has died, its turn is next.
func (p pipeline) catchUp(ctx context.Context, from, now time.Time) error {
	for {
		_, _, err := p.repo.CreateBackfill(ctx, repo.BackfillRequest{DagID: "extract", From: from, To: now, Schedule: p.dates, MaxActiveRuns: 2})
		switch {
		case errors.Is(err, repo.ErrNoDates), errors.Is(err, repo.ErrFuture):
			return nil
		case !errors.Is(err, repo.ErrBackfillActive):
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}

// keepUp queues the run of each interval as it begins; run_after keeps it until the interval is over.
func (p pipeline) keepUp(ctx context.Context, from, now time.Time) error {
	for interval := range p.dates.Intervals(from) {
		if interval.End.Before(now) {
			continue // of the backfill
		}
		select {
		case <-time.After(time.Until(interval.Start)):
		case <-ctx.Done():
			return nil
		}
		err := p.queue(ctx, models.DagRun{
			DagID: "extract", RunType: models.ScheduledRun, LogicalDate: models.At(interval.Start), RunAfter: models.At(interval.End),
			DataIntervalStart: models.At(interval.Start), DataIntervalEnd: models.At(interval.End),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// queue queues a run, unless another process, or an attempt before, has done so.
func (p pipeline) queue(ctx context.Context, run models.DagRun) error {
	_, err := p.repo.Enqueue(ctx, run)
	if errors.Is(err, repo.ErrExists) {
		return nil
	}
	return err
}

// step is the work of one run. An extract that has succeeded queues the load of its date.
func (p pipeline) step(ctx context.Context, run models.DagRun) error {
	id := run.DagID + " " + run.LogicalDate.Format(time.RFC3339)
	fmt.Println("started", id)
	time.Sleep(50 * time.Millisecond)
	fmt.Println("ending", id)
	if run.DagID == "load" {
		return nil
	}
	return p.queue(ctx, models.DagRun{DagID: "load", LogicalDate: run.LogicalDate, DataIntervalStart: run.DataIntervalStart, DataIntervalEnd: run.DataIntervalEnd})
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
