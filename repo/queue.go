package repo

import (
	"fmt"
	"maps"
)

// queue is the queue of a kind of gate.
type queue struct {
	text   string   // the due runs of @dag_id and @backfill_id at @now, in the gate's order
	inner  string   // the same over the gate's row g
	row    string   // the gate's row alone
	astray string   // whether queued runs have no place in that order, which is then elsewhere
	strays []string // the due runs of such a gate: when these are too few, the next are read
}

func dagQueue() queue {
	return queue{
		text: `SELECT r.id FROM {dag_run} r{by index}
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
		text: `SELECT r.id FROM {dag_run} r{by place}
			WHERE r.state = 'queued' AND r.backfill_id = @backfill_id AND r.dag_id = @dag_id AND (r.run_after <= @now) IS TRUE
			ORDER BY {order}r.sort_ordinal, r.run_after, r.id`,
		row: "{backfill} g",
		astray: `(SELECT 1 FROM {dag_run} r{by place}
			WHERE r.state = 'queued' AND r.backfill_id = g.id AND r.dag_id = g.dag_id AND {no place} LIMIT 1) IS NOT NULL`,
		// The first walks the order that backfill_dag_run has and looks at each run by its key, for which
		// the state is written so that no index serves it. The second has the runs without a place there.
		strays: []string{
			`SELECT o.dag_run_id AS id FROM {backfill_dag_run} o
			WHERE o.backfill_id = @backfill_id AND (SELECT 1 FROM {dag_run} r WHERE r.id = o.dag_run_id
				AND COALESCE(r.state, '') = 'queued' AND r.backfill_id = o.backfill_id AND r.dag_id = @dag_id AND r.run_after <= @now LIMIT 1) IS NOT NULL
			ORDER BY o.sort_ordinal, o.dag_run_id`,
			`SELECT r.id AS id FROM {dag_run} r{by index}
			WHERE r.state = 'queued' AND r.backfill_id = @backfill_id AND r.dag_id = @dag_id AND r.run_after <= @now
				AND (SELECT 1 FROM {backfill_dag_run} o WHERE o.backfill_id = r.backfill_id AND o.dag_run_id = r.id LIMIT 1) IS NULL
			ORDER BY r.run_after, r.id`,
		},
	}
}

// few is up to how many runs of a gate are picked one by one.
const few = 8

// picks adds what picks the runs that the gates of a kind may start: their ids, the time, and
// their place, as far as the statement does not give those of a gate in order.
//
// A gate with few slots is asked for its first run, its second, and so on, in as many selects
// as the gates have slots, whatever the number of gates: an engine makes a plan for each
// select, which would take longer than the reading. A gate with more is asked for all in a
// select of its own. No more is read than may start.
func (k kind) picks(u *union, open []openGate, values map[string]any, clock string) {
	for n := range few {
		var gates []Gate
		for _, g := range open {
			if g.Kind == k.kind && g.Slots > n && g.Slots <= few && !g.Astray {
				gates = append(gates, g.Gate)
			}
		}
		if len(gates) > 0 {
			u.add(fmt.Sprintf("SELECT %d AS place, (%s LIMIT 1 OFFSET %d) AS id, %s AS now FROM %s WHERE %s IN @keys", n, k.inner, n, clock, k.row, k.column),
				with(values, "keys", k.keys(gates)))
		}
	}
	for _, g := range open {
		if g.Kind == k.kind && g.Slots > few && !g.Astray {
			u.add("SELECT 0 AS place, q.id AS id, "+clock+" AS now FROM ("+k.text+" LIMIT @slots) q", g.values(values))
		}
	}
}

// pickStrays adds what picks the n-th sort of runs of the gates whose order is elsewhere. Their
// place tells the gate.
func (k kind) pickStrays(u *union, open []openGate, n int, values map[string]any, clock string) {
	for i, g := range open {
		if g.Kind == k.kind && g.Slots > 0 && g.Astray && n < len(k.strays) {
			u.add(fmt.Sprintf("SELECT %d AS place, q.id AS id, %s AS now FROM (%s LIMIT @slots) q", few+i, clock, k.strays[n]), g.values(values))
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
