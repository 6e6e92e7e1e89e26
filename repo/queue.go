package repo

import (
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"github.com/usher-go/usher/models"
)

// queue is the queue of a kind of gate.
type queue struct {
	text   string   // FROM the due runs r of @dag_id and @backfill_id at @now, in the gate's order
	inner  string   // the same over the gate's row g
	row    string   // the gate's row alone
	astray string   // whether queued runs have no place in that order, which is then elsewhere
	strays []string // the due runs of such a gate: when these are too few, the next are read
}

func dagQueue() queue {
	return queue{
		text: `FROM {dag_run} r{by index}
			WHERE r.state = 'queued' AND r.backfill_id IS NULL AND r.dag_id = @dag_id AND r.run_after <= @now
			ORDER BY {order}r.run_after, r.id`,
		row:    "{dag} g",
		astray: "1 = 0",
	}
}

func backfillQueue() queue {
	return queue{
		// The time is written so that the other index, which knows of it, is no better than the one
		// that has the order.
		text: `FROM {dag_run} r{by place}
			WHERE r.state = 'queued' AND r.backfill_id = @backfill_id AND r.dag_id = @dag_id AND (r.run_after <= @now) IS TRUE
			ORDER BY {order}r.sort_ordinal, r.run_after, r.id`,
		row: "{backfill} g",
		astray: `(SELECT 1 FROM {dag_run} r{by place}
			WHERE r.state = 'queued' AND r.backfill_id = g.id AND r.dag_id = g.dag_id AND {no place} LIMIT 1) IS NOT NULL`,
		// The first walks the order that backfill_dag_run has and looks at each run by its key, for which
		// the state is written so that no index serves it. The second has the runs without a place there.
		strays: []string{
			`SELECT o.dag_run_id AS id, o.sort_ordinal AS place FROM {backfill_dag_run} o
			WHERE o.backfill_id = @backfill_id AND (SELECT 1 FROM {dag_run} r WHERE r.id = o.dag_run_id
				AND COALESCE(r.state, '') = 'queued' AND r.backfill_id = o.backfill_id AND r.dag_id = @dag_id AND r.run_after <= @now LIMIT 1) IS NOT NULL
			ORDER BY o.sort_ordinal, o.dag_run_id`,
			`SELECT r.id AS id, 0 AS place FROM {dag_run} r{by index}
			WHERE r.state = 'queued' AND r.backfill_id = @backfill_id AND r.dag_id = @dag_id AND r.run_after <= @now
				AND (SELECT 1 FROM {backfill_dag_run} o WHERE o.backfill_id = r.backfill_id AND o.dag_run_id = r.id LIMIT 1) IS NULL
			ORDER BY r.run_after, r.id`,
		},
	}
}

// queues reads the first due runs of each gate, as many as it has slots: by one statement, and
// others when some have their order elsewhere.
func (r *Repo) queues(tx *gorm.DB, open []openGate, forEach string, read func(*gorm.DB, union, int) ([]*pick, error)) (queued []models.DagRun, err error) {
	due, _, err := r.now(tx.Statement.Context)
	if err != nil {
		return nil, err
	}
	values := map[string]any{"now": due}
	for n := 0; ; n++ {
		var u union
		for _, k := range r.kinds {
			if n == 0 {
				k.picks(&u, open, values, forEach)
			}
			k.pickStrays(&u, open, n, values)
		}
		if len(u.selects) == 0 {
			return queued, nil
		}
		found, err := read(tx, u, slots(open))
		if err != nil {
			return nil, err
		}
		queued = slices.Grow(queued, len(found))
		for _, p := range found {
			queued = append(queued, p.run)
			if p.stray > 0 {
				open[p.stray-1].Slots--
			}
		}
	}
}

// few is up to how many runs of a gate are picked one by one.
const few = 8

// picks adds what picks the runs that the gates of a kind may start, by id. No more is read than
// may start.
//
// An engine makes a plan for each select, which takes longer than the reading. Where a subquery
// may go by the row before it, gates with the same number of slots share a select. Elsewhere a
// gate with few slots is asked for its first run, its second, and so on, in as many selects as
// the gates have slots, whatever the number of gates; and one with more for all in a select of its own.
func (k kind) picks(u *union, open []openGate, values map[string]any, forEach string) {
	if forEach != "" {
		k.picksBySlots(u, open, values, forEach)
		return
	}
	for n := range few {
		var gates []Gate
		for _, g := range open {
			if k.orders(g) && g.Slots > n && g.Slots <= few {
				gates = append(gates, g.Gate)
			}
		}
		if len(gates) > 0 {
			u.add(fmt.Sprintf("SELECT 0 AS stray, 0 AS place, (SELECT r.id %s LIMIT 1 OFFSET %d) AS id FROM %s WHERE %s IN @keys", k.inner, n, k.row, k.column),
				with(values, "keys", k.keys(gates)))
		}
	}
	for _, g := range open {
		if k.orders(g) && g.Slots > few {
			u.add("{part}SELECT 0 AS stray, 0 AS place, r.id AS id "+k.text+" LIMIT @slots{parted}", g.values(values))
		}
	}
}

func (k kind) picksBySlots(u *union, open []openGate, values map[string]any, forEach string) {
	bySlots := map[int][]Gate{}
	for _, g := range open {
		if k.orders(g) {
			bySlots[g.Slots] = append(bySlots[g.Slots], g.Gate)
		}
	}
	for _, slots := range slices.Sorted(maps.Keys(bySlots)) {
		from := fmt.Sprintf(forEach, k.row, fmt.Sprintf("SELECT r.id %s LIMIT %d", k.inner, slots))
		u.add("SELECT 0 AS stray, 0 AS place, q.id AS id FROM "+from+" WHERE "+k.column+" IN @keys", with(values, "keys", k.keys(bySlots[slots])))
	}
}

// orders tells of a gate of this kind whose runs have their order in their own index.
func (k kind) orders(g openGate) bool { return g.Kind == k.kind && !g.Astray }

// pickStrays adds what picks the n-th sort of runs of the gates whose order is elsewhere, and for
// each the gate's number, from 1, and its place in that order.
func (k kind) pickStrays(u *union, open []openGate, n int, values map[string]any) {
	for i, g := range open {
		if g.Kind == k.kind && g.Slots > 0 && g.Astray && n < len(k.strays) {
			u.add(fmt.Sprintf("SELECT %d AS stray, q.place AS place, q.id AS id FROM (%s LIMIT @slots) q", i+1, k.strays[n]), g.values(values))
		}
	}
}

// values are those that a queue of the gate names, and others.
func (g openGate) values(others map[string]any) map[string]any {
	return with(others, "dag_id", g.DagID, "backfill_id", g.BackfillID, "slots", g.Slots)
}

// with adds pairs of a name and a value to others.
func with(values map[string]any, pairs ...any) map[string]any {
	all := maps.Clone(values)
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i].(string)] = pairs[i+1]
	}
	return all
}
