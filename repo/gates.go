package repo

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// Kind is a kind of gate.
type Kind string

// The kinds of gate, in the order in which a pass takes them.
const (
	DagGate      Kind = "dag"      // covers the runs of the DAG that belong to no backfill
	BackfillGate Kind = "backfill" // covers the runs of the backfill
)

// Gate names a gate.
type Gate struct {
	// Kind is the kind of gate.
	Kind Kind `json:"kind"`
	// DagID is the DAG: for a DAG gate, its key.
	DagID string `json:"dag_id"`
	// BackfillID is the key of a backfill gate, and 0 for others.
	BackfillID int64 `json:"backfill_id"`
}

// String names the gate for people.
func (g Gate) String() string {
	if g.Kind == BackfillGate {
		return fmt.Sprintf("backfill %d of DAG %s", g.BackfillID, g.DagID)
	}
	return "DAG " + g.DagID
}

// GateOf is the gate that a run goes through: its backfill's, or else its DAG's.
func GateOf(run models.DagRun) Gate {
	if run.BackfillID != nil {
		return Gate{BackfillGate, run.DagID, *run.BackfillID}
	}
	return Gate{DagGate, run.DagID, 0}
}

// A kind is all that the walk over gates knows of a kind of gate: SQL over the gate's row g
// and a run r. A new kind of gate is a new value of it.
//
// States are written out in the conditions, never sent as parameters: only so can the engine
// prove that they fit a partial index.
type kind struct {
	kind  Kind
	model any
	key   func(Gate) any
	start any // comes before every key
	rows

	names  string     // the columns of a Gate, in order
	from   string     // the gate's row
	column string     // its key
	limit  string     // how many runs may run
	needs  []obstacle // rows without which there is no gate: a condition over r
	bars   []obstacle // what keeps every run out, whatever the limit: conditions over g
	admits string     // that none of the bars is there, so runs may start
	listed string     // whether the gate is of interest without runs
	runs   string     // which runs are the gate's
	any    string     // which runs are of a gate of this kind
	queue
}

// kinds lists the kinds of gate in the order in which a pass takes them.
func kinds(maxActiveRuns int) []kind {
	all := []kind{dagKind(maxActiveRuns), backfillKind()}
	for i, k := range all {
		all[i].admits = absent(k.bars)
		all[i].inner = strings.NewReplacer("@dag_id", "g.dag_id", "@backfill_id", "g.id").Replace(k.text)
	}
	return all
}

func dagKind(maxActiveRuns int) kind {
	return kind{
		kind:   DagGate,
		model:  &models.Dag{},
		key:    func(g Gate) any { return g.DagID },
		start:  "",
		rows:   gateRows[string]{locking.Rows{Model: &models.Dag{}, Fence: "fence"}, func(g Gate) string { return g.DagID }},
		names:  "'dag' AS kind, g.dag_id AS dag_id, 0 AS backfill_id",
		from:   "{dag} g",
		column: "g.dag_id",
		limit:  "COALESCE(g.max_active_runs, " + strconv.Itoa(maxActiveRuns) + ")",
		needs:  []obstacle{noDag},
		bars: []obstacle{
			{DagPaused, "g.is_paused", "DAG {dag} is paused"},
			{DagStale, "g.is_stale", "DAG {dag} is stale: its definition is gone"},
		},
		listed: "1 = 1",
		runs:   "r.backfill_id IS NULL AND r.dag_id = g.dag_id",
		any:    "r.backfill_id IS NULL",
		queue:  dagQueue(),
	}
}

func backfillKind() kind {
	return kind{
		kind:   BackfillGate,
		model:  &models.Backfill{},
		key:    func(g Gate) any { return g.BackfillID },
		start:  0,
		rows:   gateRows[int64]{locking.Rows{Model: &models.Backfill{}, Fence: "fence"}, func(g Gate) int64 { return g.BackfillID }},
		names:  "'backfill' AS kind, g.dag_id AS dag_id, g.id AS backfill_id",
		from:   "{backfill} g JOIN {dag} d ON d.dag_id = g.dag_id",
		column: "g.id",
		limit:  "g.max_active_runs",
		needs: []obstacle{
			noDag,
			{BackfillMissing, "(SELECT 1 FROM {backfill} b WHERE b.id = r.backfill_id AND b.dag_id = r.dag_id) IS NULL", "there is no backfill {backfill} of DAG {dag}"},
		},
		bars: []obstacle{
			{DagPaused, "d.is_paused", "DAG {dag} is paused"},
			{DagStale, "d.is_stale", "DAG {dag} is stale: its definition is gone"},
			{BackfillPaused, "g.is_paused AND g.completed_at IS NULL", "backfill {backfill} is paused"},
		},
		listed: "g.completed_at IS NULL",
		runs:   "r.backfill_id = g.id AND r.dag_id = g.dag_id",
		any:    "r.backfill_id IS NOT NULL",
		queue:  backfillQueue(),
	}
}

// taking is how gates are taken that somebody else holds: passed over, or waited for.
type taking bool

const (
	passingOver taking = false
	waiting     taking = true
)

// rows are the rows of a kind of gate.
type rows interface {
	// hold takes gates of the kind, in the order of their keys, and returns those taken.
	hold(tx *gorm.DB, gates []Gate, take taking) ([]Gate, error)
	// held tells whether somebody else holds the gate at this moment.
	held(ctx context.Context, db *gorm.DB, g Gate) (bool, error)
}

// gateRows are rows whose key has type K.
type gateRows[K comparable] struct {
	locking.Rows
	key func(Gate) K
}

func (r gateRows[K]) hold(tx *gorm.DB, gates []Gate, take taking) (held []Gate, err error) {
	var keys []K
	named := map[K]Gate{}
	for _, g := range gates {
		keys = append(keys, r.key(g))
		named[r.key(g)] = g
	}
	if take == waiting {
		keys, err = locking.Await(tx, r.Rows, keys)
	} else {
		keys, err = locking.Hold(tx, r.Rows, keys)
	}
	for _, k := range keys {
		held = append(held, named[k])
	}
	return held, err
}

func (r gateRows[K]) held(ctx context.Context, db *gorm.DB, g Gate) (bool, error) {
	keys, err := locking.Held(ctx, db, r.Rows, []K{r.key(g)})
	return len(keys) > 0, err
}

// running counts the gate's running runs. Running runs are few and have an index, so they are
// counted each time: a counter would drift.
func (k kind) running() string {
	return "{count}FROM {dag_run} r{by index} WHERE r.state = 'running' AND " + k.runs + "{counted}"
}

// due tells whether a queued run of the gate is due. It is not EXISTS, which MariaDB would turn
// into a join with the whole queue, and not "= 1", which PostgreSQL without statistics takes
// to be so rare that it reads and sorts everything.
func (k kind) due(now string) string {
	return fmt.Sprintf("(SELECT 1 FROM {dag_run} r{by index} WHERE r.state = 'queued' AND %s AND r.run_after <= %s LIMIT 1) IS NOT NULL", k.runs, now)
}

// some tells whether any run is queued in a gate of this kind; where none is, no gate is looked at.
func (k kind) some() string {
	return "(SELECT 1 FROM {dag_run} r{by index} WHERE r.state = 'queued' AND " + k.any + "{in order} LIMIT 1) IS NOT NULL"
}

// of picks the gates of this kind.
func (k kind) of(gates []Gate) (mine []Gate) {
	for _, g := range gates {
		if g.Kind == k.kind {
			mine = append(mine, g)
		}
	}
	return mine
}

// keys are the gates' keys, padded.
func (k kind) keys(gates []Gate) (keys []any) {
	for _, g := range gates {
		keys = append(keys, k.key(g))
	}
	return pad(keys)
}

// kindOf is the kind of a gate.
func (r *Repo) kindOf(g Gate) kind {
	for _, k := range r.kinds {
		if k.kind == g.Kind {
			return k
		}
	}
	panic("repo: unknown kind of gate " + string(g.Kind))
}
