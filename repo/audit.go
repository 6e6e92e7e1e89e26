package repo

import (
	"context"
	"database/sql"
	"iter"

	"github.com/usher-go/usher/models"
)

// auditedRuns is how many runs a [Violation] names.
const auditedRuns = 1000

// auditProgress is after how many runs the progress of an audit is reported.
const auditProgress = 10_000

// Violation is an interval in which a gate held more runs than its limit of now, and before
// and after which it did not.
type Violation struct {
	Gate
	// MaxActiveRuns is the gate's limit of now.
	MaxActiveRuns int `json:"max_active_runs"`
	// From is when there were too many, and To when no longer; NULL when there still are.
	From models.Time `json:"from"`
	To   models.Time `json:"to"`
	// Peak is how many there were at most at one moment.
	Peak int `json:"peak"`
	// Total counts the runs that were running in the interval, and Runs are they, by
	// start_date: the first 1000.
	Total int          `json:"total"`
	Runs  []AuditedRun `json:"runs"`
}

// AuditedRun is a run as the history has it.
type AuditedRun struct {
	// ID and RunID name the run.
	ID    int64  `json:"id"`
	RunID string `json:"run_id"`
	// StartDate and EndDate are when it started and ended; EndDate is NULL while it runs.
	StartDate models.Time `json:"start_date"`
	EndDate   models.Time `json:"end_date"`
}

// Audit goes through the recorded history, of one DAG or of all when dagID is empty, and yields
// every interval in which a gate held more runs than its limit, by gate and time. It ends
// after the first error. A run that ends at the instant at which another starts does not
// overlap it, and one that is running lasts until now.
//
// The history knows one attempt of each run, since clearing a run overwrites the times of the
// attempt before, and no limit but that of now: where a limit has been lowered, what was right
// then shows as a violation. Gates whose DAG or backfill is gone are left out. It needs no more than
// the tables of an Airflow metadata database, and keeps in memory only what runs at one time.
// A connection is busy until the loop ends. [WithProgress] is told of it.
func (r *Repo) Audit(ctx context.Context, dagID string) iter.Seq2[Violation, error] {
	return func(yield func(Violation, error) bool) {
		if err := r.apart(); err != nil {
			yield(Violation{}, r.explain("audit", err))
			return
		}
		done, total, err := 0, 0, error(nil)
		if r.progress != nil {
			total, err = r.auditable(ctx, dagID)
		}
		wanted := true
		report := func(v Violation) bool { wanted = yield(v, nil); return wanted }
		for i := 0; err == nil && wanted && i < len(r.kinds); i++ {
			err = r.auditKind(ctx, r.kinds[i], dagID, report, func() {
				if done++; r.progress != nil && done%auditProgress == 0 {
					r.progress(done, max(done, total))
				}
			})
		}
		if err != nil {
			yield(Violation{}, r.explain("audit", err))
		}
	}
}

// history picks the runs, as r, of which the times are known: of one DAG, or of all.
func history(dagID string) (condition string, args []any) {
	condition = "r.start_date IS NOT NULL AND (r.state = 'running' OR r.end_date > r.start_date)"
	if dagID == "" {
		return condition, nil
	}
	return condition + " AND r.dag_id = ?", []any{dagID}
}

// auditable counts the runs to go through.
func (r *Repo) auditable(ctx context.Context, dagID string) (n int, err error) {
	condition, args := history(dagID)
	return n, r.db.WithContext(ctx).Raw(r.sql("SELECT COUNT(*) FROM {dag_run} r WHERE "+condition), args...).Scan(&n).Error
}

// auditKind goes through the runs of the gates of a kind, gate by gate and by start_date.
func (r *Repo) auditKind(ctx context.Context, k kind, dagID string, report func(Violation) bool, seen func()) error {
	condition, args := history(dagID)
	rows, err := r.db.WithContext(ctx).Raw(r.sql("SELECT "+k.names+", "+k.limit+" AS gate_limit, r.id, r.run_id, r.start_date, CASE WHEN r.state = 'running' THEN NULL ELSE r.end_date END AS end_date"+
		" FROM "+k.from+" JOIN {dag_run} r ON "+k.runs+" WHERE "+condition+" ORDER BY "+k.column+", r.start_date, r.id"), args...).Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	s := sweep{report: report}
	for rows.Next() {
		g, limit, run, err := scanAudited(rows)
		if err != nil {
			return err
		}
		if g != s.gate && !s.enter(g, limit) || !s.start(run) {
			return nil
		}
		seen()
	}
	if err := rows.Err(); err != nil {
		return err
	}
	s.leave()
	return rows.Close()
}

func scanAudited(rows *sql.Rows) (g Gate, limit int, run AuditedRun, err error) {
	err = rows.Scan(&g.Kind, &g.DagID, &g.BackfillID, &limit, &run.ID, &run.RunID, &run.StartDate, &run.EndDate)
	return g, limit, run, err
}
