package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// data is what a database is loaded with.
type data struct {
	name string
	// dags is how many DAGs there are. Of these, waiting are spread evenly, and have each so
	// many queued runs.
	dags, waiting, perDag int
	// backfills belong to the first DAGs, and have so many queued runs each.
	backfills, perBackfill int
	// finished is the history: runs that have ended, of all DAGs.
	finished int
	// limit is that of each DAG, and backfillLimit of each backfill.
	limit, backfillLimit int
}

// number is a row of the table from which the runs are made.
type number struct {
	N  int         `gorm:"primaryKey;autoIncrement:false"`
	At models.Time `gorm:"index"`
	ID string      `gorm:"size:20"` // of the DAG with this number
}

func (number) TableName() string { return "bench_number" }

// Where the numbers of each sort of run begin: a DAG has one run of a logical date.
const (
	numbers       = 20_000
	firstQueued   = 8_000
	firstBackfill = 10_000
)

var firstDay = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func dagID(n int) string { return fmt.Sprintf("dag_%05d", n) }

// load fills the database with the data, unless it has been filled before.
func (d *database) load(ctx context.Context, want data) error {
	db := d.db.WithContext(ctx)
	if db.Migrator().HasTable("bench_loaded") {
		return nil
	}
	r, err := repo.New(d.db)
	if err != nil {
		return err
	}
	if err := r.Migrate(ctx); err != nil {
		return err
	}
	if err := db.AutoMigrate(&number{}); err != nil {
		return err
	}
	rows, dags := make([]number, numbers), make([]models.Dag, want.dags)
	for n := range rows {
		rows[n] = number{n, models.At(firstDay.Add(time.Duration(n) * time.Hour)), dagID(n)}
	}
	for n := range dags {
		dags[n] = models.Dag{DagID: dagID(n), MaxActiveRuns: &want.limit}
	}
	backfills := make([]models.Backfill, want.backfills)
	for n := range backfills {
		backfills[n] = models.Backfill{ID: int64(n) + 1, DagID: dagID(n), MaxActiveRuns: want.backfillLimit, FromDate: models.At(firstDay), ToDate: models.At(firstDay), CreatedAt: models.At(firstDay), UpdatedAt: models.At(firstDay)}
	}
	if err := create(d, rows); err != nil {
		return err
	}
	if err := create(d, dags); err != nil {
		return err
	}
	if err := create(d, backfills); err != nil {
		return err
	}
	for _, fill := range []func(context.Context, data) error{d.loadHistory, d.loadQueue, d.loadBackfills, d.settle} {
		if err := fill(ctx, want); err != nil {
			return err
		}
	}
	return db.Exec("CREATE TABLE bench_loaded (n integer)").Error
}

func create[M any](d *database, rows []M) error {
	for some := range slices.Chunk(rows, 1000) {
		if err := d.db.Create(some).Error; err != nil {
			return err
		}
	}
	return nil
}

// insertRuns makes a run of each DAG d in each number n of the range, some at a time.
func (d *database) insertRuns(ctx context.Context, state models.State, kind models.RunType, backfill, dags string, from, to, perNumber int) error {
	step := max(1, 100_000/max(1, perNumber))
	for ; from < to; from += step {
		ended := "NULL"
		if state == models.Success {
			ended = "n.at"
		}
		err := d.db.WithContext(ctx).Exec(fmt.Sprintf(`INSERT INTO dag_run (dag_id, run_id, state, run_type, logical_date, run_after, queued_at, start_date, end_date, backfill_id, sort_ordinal, clear_number, created_at, updated_at)
			SELECT d.id, CONCAT('%[1]s__', n.n), '%[2]s', '%[1]s', n.at, n.at, n.at, %[3]s, %[3]s, %[4]s, 0, n.at, n.at
			FROM bench_number n JOIN bench_number d ON %[5]s WHERE n.n >= %[6]d AND n.n < %[7]d`,
			kind, state, ended, backfill, dags, from, min(to, from+step))).Error
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *database) loadHistory(ctx context.Context, want data) error {
	return d.insertRuns(ctx, models.Success, models.ScheduledRun, "NULL, 2147483647", "d.n < "+strconv.Itoa(want.dags), 0, want.finished/want.dags, want.dags)
}

func (d *database) loadQueue(ctx context.Context, want data) error {
	if want.waiting == 0 {
		return nil
	}
	dags := fmt.Sprintf("d.n < %d AND d.n %% %d = 0", want.dags, want.dags/want.waiting)
	return d.insertRuns(ctx, models.Queued, models.ScheduledRun, "NULL, 2147483647", dags, firstQueued, firstQueued+want.perDag, want.waiting)
}

func (d *database) loadBackfills(ctx context.Context, want data) error {
	dags := fmt.Sprintf("d.n < %d", want.backfills)
	err := d.insertRuns(ctx, models.Queued, models.BackfillRun, fmt.Sprintf("d.n + 1, n.n - %d", firstBackfill-1), dags, firstBackfill, firstBackfill+want.perBackfill, want.backfills)
	if err != nil {
		return err
	}
	return d.db.WithContext(ctx).Exec(`INSERT INTO backfill_dag_run (backfill_id, dag_run_id, logical_date, sort_ordinal)
		SELECT r.backfill_id, r.id, r.logical_date, r.sort_ordinal FROM dag_run r WHERE r.state = 'queued' AND r.backfill_id IS NOT NULL`).Error
}

// settle lets the engine look at what it has.
func (d *database) settle(ctx context.Context, _ data) error {
	statement := map[string]string{"postgres": "VACUUM ANALYZE", "sqlite": "ANALYZE", "mysql": "ANALYZE TABLE dag, dag_run, backfill, backfill_dag_run"}[d.db.Name()]
	_, err := d.sql.ExecContext(ctx, statement)
	return err
}

// requeue puts runs back into the queue as they were.
func (d *database) requeue(ctx context.Context, runs []models.DagRun) error {
	for some := range slices.Chunk(runs, 1000) {
		err := d.db.WithContext(ctx).Model(&models.DagRun{}).Where("id IN ?", ids(some)).
			UpdateColumns(map[string]any{"state": models.Queued, "start_date": nil, "end_date": nil}).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// requeueAll puts all running runs back.
func (d *database) requeueAll(ctx context.Context) error {
	return d.db.WithContext(ctx).Exec("UPDATE dag_run SET state = 'queued', start_date = NULL WHERE state = 'running'").Error
}

func ids(runs []models.DagRun) (ids []int64) {
	for _, run := range runs {
		ids = append(ids, run.ID)
	}
	return ids
}
