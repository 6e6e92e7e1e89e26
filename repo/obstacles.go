package repo

import (
	"strconv"
	"strings"
)

// ReasonKind is why a queued run waits, or what a run is that does not wait.
type ReasonKind string

// The kinds of reason. [Behind] and [NotDue] are of the run, the others of its gate.
const (
	DagMissing      ReasonKind = "dag_missing"      // there is no row of the DAG
	DagPaused       ReasonKind = "dag_paused"       // the DAG is paused
	DagStale        ReasonKind = "dag_stale"        // the DAG's definition is gone
	BackfillMissing ReasonKind = "backfill_missing" // there is no row of the backfill, or it is of another DAG
	BackfillPaused  ReasonKind = "backfill_paused"  // the backfill is active and paused
	NotDue          ReasonKind = "not_due"          // its run_after is still to come
	GateFull        ReasonKind = "gate_full"        // as many runs are running as may
	Behind          ReasonKind = "behind"           // more due runs come before it than there is room for
	GateHeld        ReasonKind = "gate_held"        // another transaction holds the gate at this moment
	NextPass        ReasonKind = "next_pass"        // nothing: the next pass will start it
	NotQueued       ReasonKind = "not_queued"       // it does not wait: it is running, or has ended
)

// An obstacle is a condition, in SQL, under which runs wait.
type obstacle struct {
	reason ReasonKind
	when   string
	says   string // with {dag} and {backfill} for the ids
}

var noDag = obstacle{DagMissing, "(SELECT 1 FROM {dag} d WHERE d.dag_id = r.dag_id) IS NULL", "there is no DAG {dag}"}

// absent is the condition that none of the obstacles is there.
func absent(obstacles []obstacle) string {
	conditions := make([]string, len(obstacles))
	for i, o := range obstacles {
		conditions[i] = "NOT (" + o.when + ")"
	}
	return strings.Join(conditions, " AND ")
}

// present is a number with the bit 1<<i set when the i-th obstacle is there, or unknown.
func present(obstacles []obstacle) string {
	terms := []string{"0"}
	for i, o := range obstacles {
		terms = append(terms, "CASE WHEN NOT ("+o.when+") THEN 0 ELSE "+strconv.Itoa(1<<i)+" END")
	}
	return strings.Join(terms, " + ")
}

// met are the reasons that a number of [present] stands for.
func met(obstacles []obstacle, bits int, g Gate) (reasons []Reason) {
	ids := strings.NewReplacer("{dag}", g.DagID, "{backfill}", strconv.FormatInt(g.BackfillID, 10))
	for i, o := range obstacles {
		if bits&(1<<i) != 0 {
			reasons = append(reasons, Reason{Kind: o.reason, Text: ids.Replace(o.says)})
		}
	}
	return reasons
}
