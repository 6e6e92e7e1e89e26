package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// floor is the least that admission can be: one UPDATE of the runs by id, committed. It takes
// the statement that is fastest on the engine: one that the driver keeps prepared, or, where
// the driver has none without another round trip, one with the values in its text.
func (d *database) floor(ctx context.Context, runs []models.DagRun) error {
	list, args := d.list(runs, time.Now().UTC().Truncate(time.Microsecond), 1)
	_, err := d.sql.ExecContext(ctx, fmt.Sprintf("UPDATE dag_run SET state = 'running', end_date = NULL, updated_at = %s, start_date = updated_at, scheduled_by_job_id = %s WHERE id IN %s",
		d.value(1), d.value(2), list), args...)
	return err
}

// handOut is the least that it takes to read what a pass returns: one SELECT of the runs by id.
func (d *database) handOut(ctx context.Context, runs []models.DagRun) error {
	columns := "id, dag_id, run_id, run_type, sort_ordinal, backfill_id, conf, COALESCE(triggered_by, ''), COALESCE(triggering_user_name, ''), creating_job_id, clear_number"
	for _, column := range []string{"logical_date", "data_interval_start", "data_interval_end", "run_after", "queued_at", "last_scheduling_decision", "created_at"} {
		columns += ", " + dialect.ReadTime(d.db.Dialector, column)
	}
	list, args := d.list(runs)
	rows, err := d.sql.QueryContext(ctx, "SELECT "+columns+" FROM dag_run WHERE id IN "+list, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has it
	read := make([]models.DagRun, 0, len(runs))
	for rows.Next() {
		read = append(read, models.DagRun{})
		r := &read[len(read)-1]
		err := rows.Scan(&r.ID, &r.DagID, &r.RunID, &r.RunType, &r.SortOrdinal, &r.BackfillID, &r.Conf, &r.TriggeredBy, &r.TriggeringUserName, &r.CreatingJobID, &r.ClearNumber,
			&r.LogicalDate, &r.DataIntervalStart, &r.DataIntervalEnd, &r.RunAfter, &r.QueuedAt, &r.LastSchedulingDecision, &r.CreatedAt)
		if err != nil {
			return err
		}
	}
	return rows.Err()
}

// list stands for the runs' ids in a statement, behind other values.
func (d *database) list(runs []models.DagRun, args ...any) (string, []any) {
	marks := make([]string, len(runs))
	for i, run := range runs {
		args = append(args, run.ID)
		marks[i] = d.value(len(args))
	}
	return "(" + strings.Join(marks, ", ") + ")", args
}

// value stands for the n-th value of a statement, from 1.
func (d *database) value(n int) string {
	if d.db.Name() == "postgres" {
		return fmt.Sprintf("$%d", n)
	}
	return "?"
}

// airflowBatch is how many runs Airflow looks at in one pass.
const airflowBatch = 20

// airflow is a pass of Airflow's scheduler (apache/airflow, with commit 589df29): 20 candidates
// by its query and order, the backfills of these locked if nobody holds them, their running
// runs counted, and the runs started one by one. Its locks on ordinary runs' DAGs it has none.
func (d *database) airflow(ctx context.Context) ([]models.DagRun, error) {
	return locking.InTx(ctx, d.db, func(tx *gorm.DB) (started []models.DagRun, err error) {
		if d.db.Name() == "sqlite" { // the writer first, or it could not wait
			if err := tx.Exec("DELETE FROM dag WHERE 1 = 0").Error; err != nil {
				return nil, err
			}
		}
		var runs []models.DagRun
		if err := tx.Raw(airflowQuery+d.airflowLock(), airflowBatch).Scan(&runs).Error; err != nil {
			return nil, err
		}
		room, err := airflowRoom(tx, runs)
		for _, run := range runs {
			if err != nil {
				return nil, err
			}
			g := airflowGate{run.DagID, 0}
			if run.BackfillID != nil {
				g.backfill = *run.BackfillID
			}
			if room[g] <= 0 {
				continue
			}
			room[g]--
			err = tx.Model(&models.DagRun{ID: run.ID}).UpdateColumns(map[string]any{"state": models.Running, "start_date": gorm.Expr("run_after"), "updated_at": gorm.Expr("run_after")}).Error
			started = append(started, run)
		}
		return started, err
	})
}

func (d *database) airflowLock() string {
	return map[string]string{"PostgreSQL": " FOR UPDATE OF r SKIP LOCKED", "MySQL": " FOR UPDATE OF r SKIP LOCKED", "MariaDB": " FOR UPDATE SKIP LOCKED"}[d.label]
}

type airflowGate struct {
	dag      string
	backfill int64
}

// airflowRoom counts what may start: in backfills that were locked, and in DAGs without a lock.
func airflowRoom(tx *gorm.DB, runs []models.DagRun) (map[airflowGate]int, error) {
	var dags []string
	var backfills []int64
	for _, run := range runs {
		dags = append(dags, run.DagID)
		if run.BackfillID != nil {
			backfills = append(backfills, *run.BackfillID)
		}
	}
	room := map[airflowGate]int{}
	var found []models.Dag
	if err := tx.Where("dag_id IN ?", dags).Find(&found).Error; err != nil {
		return nil, err
	}
	for _, dag := range found {
		room[airflowGate{dag.DagID, 0}] = *dag.MaxActiveRuns
	}
	if len(backfills) > 0 {
		var held []models.Backfill
		if err := tx.Clauses(locking.SkipLocked()).Where("id IN ?", backfills).Order("id").Find(&held).Error; err != nil {
			return nil, err
		}
		for _, b := range held {
			room[airflowGate{b.DagID, b.ID}] = b.MaxActiveRuns
		}
	}
	var running []struct {
		DagID             string
		BackfillID, Count int64
	}
	err := tx.Raw("SELECT dag_id, COALESCE(backfill_id, 0) AS backfill_id, COUNT(*) AS count FROM dag_run WHERE state = 'running' AND dag_id IN ? GROUP BY dag_id, backfill_id", append(dags, "")).Scan(&running).Error
	for _, n := range running {
		room[airflowGate{n.DagID, n.BackfillID}] -= int(n.Count)
	}
	return room, err
}

// airflowQuery is DagRun.get_queued_dag_runs_to_set_running. NULLs come first.
const airflowQuery = `SELECT r.* FROM dag_run r
	JOIN dag d ON d.dag_id = r.dag_id AND NOT d.is_paused AND NOT d.is_stale
	LEFT JOIN backfill_dag_run o ON o.dag_run_id = r.id AND o.backfill_id = r.backfill_id
	LEFT JOIN backfill b ON b.id = r.backfill_id
	LEFT JOIN (SELECT dag_id, backfill_id, COUNT(id) AS num_running FROM dag_run WHERE state = 'running' GROUP BY dag_id, backfill_id) n
		ON n.dag_id = r.dag_id AND COALESCE(n.backfill_id, -1) = COALESCE(r.backfill_id, -1)
	WHERE r.state = 'queued' AND COALESCE(n.num_running, 0) < COALESCE(b.max_active_runs, d.max_active_runs)
		AND NOT COALESCE(b.is_paused, d.is_paused) AND r.run_after <= CURRENT_TIMESTAMP
	ORDER BY o.sort_ordinal IS NOT NULL, o.sort_ordinal, r.last_scheduling_decision IS NOT NULL, r.last_scheduling_decision,
		n.num_running IS NOT NULL, n.num_running, r.run_after LIMIT ?`
