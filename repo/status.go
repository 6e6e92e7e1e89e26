package repo

import (
	"context"
	"strings"

	"github.com/usher-go/usher/models"
)

// GateStatus is what a gate looks like at one moment.
type GateStatus struct {
	Gate
	// MaxActiveRuns is the limit in force.
	MaxActiveRuns int `json:"max_active_runs"`
	// Running and Queued count the gate's runs in these states; Queued includes runs that are not due yet.
	Running int `json:"running"`
	Queued  int `json:"queued"`
	// WaitingSince is since when the first of its queued runs, by run_after, could have started: the
	// later of queued_at and run_after; zero when none is queued. It lies ahead when none is due.
	WaitingSince models.Time `json:"waiting_since"`
	// Admits is false when the gate lets nothing in whatever its limit: the DAG is paused or
	// stale, or the backfill is paused.
	Admits bool `json:"admits"`
}

// Status returns every DAG's gate, and the gates of the backfills that are active or have
// runs waiting or running, by kind and key. It counts the whole queue.
func (r *Repo) Status(ctx context.Context) ([]GateStatus, error) {
	var selects []string
	for _, k := range r.kinds {
		selects = append(selects, "SELECT * FROM (SELECT "+k.names+", "+k.limit+" AS max_active_runs, "+k.running()+" AS running, "+
			"(SELECT COUNT(*) FROM {dag_run} r WHERE r.state = 'queued' AND "+k.runs+") AS queued, "+
			"(SELECT CASE WHEN r.queued_at > r.run_after THEN r.queued_at ELSE r.run_after END FROM {dag_run} r{by index} "+
			"WHERE r.state = 'queued' AND "+k.runs+" ORDER BY {order}r.run_after, r.id LIMIT 1) AS waiting_since, "+
			"CASE WHEN "+k.admits+" THEN 1 ELSE 0 END AS admits, CASE WHEN "+k.listed+" THEN 1 ELSE 0 END AS listed FROM "+k.from+") "+string(k.kind)+"_status "+
			"WHERE listed = 1 OR running > 0 OR queued > 0")
	}
	var status []GateStatus
	err := r.db.WithContext(ctx).Raw(r.sql(strings.Join(selects, " UNION ALL ")) + " ORDER BY 1 DESC, 2, 3").Scan(&status).Error
	return status, r.explain("status", err)
}

// JobStatus is a scheduler and how many runs it has in hand.
type JobStatus struct {
	models.Job
	// Running counts the runs that are running in the scheduler's name.
	Running int `json:"running"`
}

// Jobs returns usher's schedulers by id: those that are alive or have runs in hand, or all. One
// that fell silent is alive until [Repo.Recover] takes it for dead: see its LatestHeartbeat.
func (r *Repo) Jobs(ctx context.Context, all bool) ([]JobStatus, error) {
	where := ""
	if !all {
		where = " AND (j.state = 'running' OR n.running > 0)"
	}
	var jobs []JobStatus
	err := r.db.WithContext(ctx).Raw(r.sql("SELECT {j.*}, COALESCE(n.running, 0) AS running FROM {job} j LEFT JOIN "+
		"(SELECT r.scheduled_by_job_id AS job_id, COUNT(*) AS running FROM {dag_run} r{by index} WHERE r.state = 'running' GROUP BY r.scheduled_by_job_id) n "+
		"ON n.job_id = j.id WHERE j.job_type = ?"+where+" ORDER BY j.id"), models.UsherScheduler).Scan(&jobs).Error
	return jobs, r.explain("list jobs", err)
}
