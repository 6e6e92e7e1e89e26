package tests

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// skipLocked is written out: the control is not to have usher's ways.
var skipLocked = clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"}

var errRefused = errors.New("refused by the database")

// airflow is a pass as Apache Airflow 3 makes it since commit 589df29, over the same tables: it
// chooses the candidates first and locks them, then locks the backfill unless another
// scheduler has, then counts, then starts one run after the other. An ordinary run has no lock.
func airflow(g repo.Gate, limit int64, most int, level sql.IsolationLevel) operation {
	mine := func(tx *gorm.DB, state models.State) *gorm.DB {
		tx = tx.Model(&models.DagRun{}).Where("dag_id = ? AND state = ?", g.DagID, state)
		if g.Kind == repo.BackfillGate {
			return tx.Where("backfill_id = ?", g.BackfillID)
		}
		return tx.Where("backfill_id IS NULL")
	}
	body := func(tx *gorm.DB, runs *[]models.DagRun) error {
		var awake []string // the candidates' query joins the DAG, which it reads without a lock
		if err := tx.Model(&models.Dag{}).Where("NOT is_paused").Pluck("dag_id", &awake).Error; err != nil {
			return err
		}
		var candidates []models.DagRun // their ids are in the gate's order here, and the key lets InnoDB lock no more than these
		from := map[bool]string{true: "dag_run FORCE INDEX (PRIMARY)", false: "dag_run"}[tx.Name() == "mysql"]
		if err := mine(tx, models.Queued).Table(from).Clauses(skipLocked).Order("id").Limit(most).Find(&candidates).Error; err != nil {
			return err
		}
		if g.Kind == repo.BackfillGate {
			var locked []models.Backfill
			if err := tx.Clauses(skipLocked).Where("id = ?", g.BackfillID).Find(&locked).Error; err != nil || len(locked) == 0 {
				return err
			}
		}
		var running int64
		if err := mine(tx, models.Running).Count(&running).Error; err != nil {
			return err
		}
		for _, run := range candidates[:min(len(candidates), int(max(0, limit-running)))] {
			run.SetState(models.Running, models.At(past))
			if err := tx.Model(&run).Select("state", "start_date").UpdateColumns(&run).Error; err != nil {
				return err
			}
			*runs = append(*runs, run)
		}
		return nil
	}
	return operation{
		name: "Airflow's pass", passes: true, may: []error{errRefused},
		by: func(ctx context.Context, db *gorm.DB) (runs []models.DagRun, err error) {
			err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return body(tx, &runs) }, &sql.TxOptions{Isolation: level})
			if err != nil {
				return nil, errRefused
			}
			return runs, nil
		},
	}
}

// control: the explorer finds what is known to be wrong with other ways.
func control(w *world) {
	dag, backfill := dagGate("d"), repo.Gate{Kind: repo.BackfillGate, DagID: "d", BackfillID: first}
	ungated := operation{name: "pass without the gate", passes: true, by: func(ctx context.Context, db *gorm.DB) ([]models.DagRun, error) {
		return exercise.Ungated(db, dag, 2)(ctx)
	}}
	w.finds("cap exceeded", meet("DAG", atDag(), -1, ungated, ungated))
	if !w.d.RowLocks { // where there is one writer, Airflow's pass is serial
		return
	}
	readCommitted, repeatable := airflow(backfill, 2, 1, sql.LevelReadCommitted), airflow(backfill, 2, 1, sql.LevelRepeatableRead)
	w.finds("order broken", meet("backfill, READ COMMITTED", atBackfill(), -1, readCommitted, readCommitted))
	w.finds("cap exceeded", meet("backfill, REPEATABLE READ", atBackfill(), -1, repeatable, repeatable))
	ordinary := airflow(dag, 2, 1, sql.LevelReadCommitted)
	w.finds("cap exceeded", meet("DAG, READ COMMITTED", atDag(), -1, ordinary, ordinary))
	if w.d.Engine == "PostgreSQL" { // its snapshot is older than a lock that was waited for
		unfenced := meet("DAG, REPEATABLE READ without the fence", atDag(), -1, pass, setRunning(atDag(), 3))
		unfenced.isolation = repeatableRead
		w.finds("cap exceeded", unfenced, locking.DefaultIsolation(), locking.WithStrategy(dialect.Strategy{Lock: dialect.SkipLocked}))
	}
}

func (w *world) finds(problem string, s situation, options ...locking.Option) {
	found := 0
	for _, order := range w.explored(s, -1, 10_000, options...).broken {
		if strings.Contains(order, problem) {
			found++
		}
	}
	w.Logf("%s: %s in %d orders", s.name, problem, found)
	require.Positive(w, found, "the explorer must find it")
}
