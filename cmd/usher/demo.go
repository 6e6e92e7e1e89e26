package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/opendb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// demo is the race of apache/airflow #58752: a backfill of 1,059 daily runs with a limit, and
// several schedulers.
type demo struct {
	*app
	dsn        string
	schedulers int
	runs       int
	limit      int
	work       time.Duration
	chart      string
}

const aboutDemo = `Several scheduler processes race for the 1,059 daily runs of one backfill, as in apache/airflow
#58752, where a backfill with a limit of 1 ran several at a time.

First without the gate: each scheduler counts the running runs, then starts as many as seem to
fit. This is the race itself. Then with the gate. What runs is counted outside the database.

It uses a temporary SQLite file, or with --dsn any other database, in tables of its own whose
names begin with usher_demo_ and which it drops at the end. It exits with 1 if the gate ever let
more in than the limit.`

func (a *app) demo() *cobra.Command {
	d := demo{app: a}
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Race several scheduler processes for one backfill, without the gate and with it",
		Long:    aboutDemo,
		Example: "  usher demo\n  usher demo --schedulers 8 --max-active-runs 3\n  usher demo --dsn postgres://USER:PASSWORD@HOST:PORT/DATABASE",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("dsn") {
				d.dsn = a.dsn
			}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().IntVar(&d.schedulers, "schedulers", 4, "scheduler processes, 1 to 64")
	cmd.Flags().IntVar(&d.runs, "runs", 1059, "daily runs of the backfill, 1 to 100000")
	cmd.Flags().IntVar(&d.limit, "max-active-runs", 1, "the backfill's limit, 1 or more")
	cmd.Flags().DurationVar(&d.work, "work", 5*time.Millisecond, "the longest time that a run takes")
	cmd.Flags().StringVar(&d.chart, "chart", "usher-demo.svg", "the file for the chart: .svg, .png or .pdf")
	return cmd
}

// result is what a race came to, with the keys of --json.
type result struct {
	Engine        string  `json:"engine"`
	Runs          int     `json:"runs"`
	Schedulers    int     `json:"schedulers"`
	MaxActiveRuns int     `json:"max_active_runs"`
	PeakWithout   int     `json:"peak_without"`
	PeakWith      int     `json:"peak_with"`
	Seconds       float64 `json:"seconds"`
}

func (d demo) run(ctx context.Context) error {
	if err := d.check(); err != nil {
		return err
	}
	if d.dsn == "" {
		dir, err := os.MkdirTemp("", "usher-demo-")
		if err != nil {
			return fmt.Errorf("make a temporary database: %w", err)
		}
		defer os.RemoveAll(dir)
		d.dsn = "sqlite:" + filepath.Join(dir, "demo.db")
	}
	began := time.Now()
	var err error
	if d.at, err = opendb.Parse(d.dsn); err != nil {
		return err
	}
	db, err := openDemo(d.dsn)
	if err != nil {
		return err
	}
	defer (&session{db: db}).close()
	defer dropDemo(db)
	server, err := locking.Server(ctx, db)
	if err != nil {
		return err
	}
	d.say("%s %s, a backfill of %d runs with a limit of %d, %d schedulers", server.Engine, server.Version, d.runs, d.limit, d.schedulers)
	without, err := d.race(ctx, db, false)
	if err != nil {
		return err
	}
	with, err := d.race(ctx, db, true)
	if err != nil {
		return err
	}
	return d.report(without, with, result{
		Engine: server.Engine, Runs: d.runs, Schedulers: d.schedulers, MaxActiveRuns: d.limit,
		PeakWithout: without.peak, PeakWith: with.peak, Seconds: time.Since(began).Round(100 * time.Millisecond).Seconds(),
	})
}

// check refuses numbers that make no race, and a chart that cannot be drawn.
func (d demo) check() error {
	for _, n := range []struct {
		flag             string
		value, low, high int
	}{{"schedulers", d.schedulers, 1, 64}, {"runs", d.runs, 1, 100_000}, {"max-active-runs", d.limit, 1, 1000}} {
		if n.value < n.low || n.value > n.high {
			return wrong("--%s %d: use %d to %d", n.flag, n.value, n.low, n.high)
		}
	}
	if d.work < 0 || d.work > time.Minute {
		return wrong("--work %s: use 0s to 1m", d.work)
	}
	return checkChart(d.chart)
}

// openDemo opens the demo's own tables.
func openDemo(dsn string) (*gorm.DB, error) {
	at, err := opendb.Parse(dsn)
	if err != nil {
		return nil, err
	}
	db, err := at.Open()
	if err == nil {
		db.NamingStrategy = schema.NamingStrategy{TablePrefix: "usher_demo_"}
	}
	return db, err
}

func dropDemo(db *gorm.DB) {
	for _, model := range models.All() {
		_ = db.Migrator().DropTable(model) // what is left is dropped before the next demo
	}
}

// load makes the tables anew, with the backfill in them.
func (d demo) load(ctx context.Context, db *gorm.DB) (repo.Gate, error) {
	dropDemo(db)
	r, err := repo.New(db)
	if err != nil {
		return repo.Gate{}, err
	}
	if err := r.Migrate(ctx); err != nil {
		return repo.Gate{}, err
	}
	if _, err := r.SetDag(ctx, "daily"); err != nil {
		return repo.Gate{}, err
	}
	return exercise.Backfill(ctx, db, r, "daily", d.limit, d.runs)
}

// report prints the table, draws the chart, and fails if the limit was exceeded with the gate.
func (d demo) report(without, with outcomeOfRace, r result) error {
	err := show(d.app, []result{r}, table.Row{"engine", "runs", "schedulers", "cap", "peak without", "peak with", "seconds"}, func(r result) table.Row {
		return table.Row{r.Engine, r.Runs, r.Schedulers, r.MaxActiveRuns, r.PeakWithout, r.PeakWith, r.Seconds}
	})
	if err != nil {
		return err
	}
	if err := drawChart(d.chart, d.limit, without.moments, with.moments); err != nil {
		return fmt.Errorf("draw %s: %w", d.chart, err)
	}
	d.say("chart: %s", d.chart)
	switch {
	case with.peak > d.limit:
		return fmt.Errorf("the gate let %d runs in at a time where %d were allowed: please report this", with.peak, d.limit)
	case without.peak <= d.limit:
		d.say("without the gate the limit held this time, by luck: try more --schedulers")
	default:
		d.say("without the gate %d ran at a time where %d were allowed; with it never more than %d", without.peak, d.limit, with.peak)
	}
	return nil
}
