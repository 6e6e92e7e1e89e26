package repo

import (
	"context"
	"strings"
)

// GateStatus is what a gate looks like at one moment.
type GateStatus struct {
	Gate
	// MaxActiveRuns is the limit in force.
	MaxActiveRuns int `json:"max_active_runs"`
	// Running and Queued count the gate's runs in these states; Queued includes runs that are not due yet.
	Running int `json:"running"`
	Queued  int `json:"queued"`
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
			"CASE WHEN "+k.admits+" THEN 1 ELSE 0 END AS admits, CASE WHEN "+k.listed+" THEN 1 ELSE 0 END AS listed FROM "+k.from+") "+string(k.kind)+"_status "+
			"WHERE listed = 1 OR running > 0 OR queued > 0")
	}
	var status []GateStatus
	err := r.db.WithContext(ctx).Raw(r.sql(strings.Join(selects, " UNION ALL ")) + " ORDER BY 1 DESC, 2, 3").Scan(&status).Error
	return status, r.explain("status", err)
}
