package repo

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
)

// ring is where a scheduler stands in its walk around the gates, the gates that it has found
// there for passes to come, and those in which it has just freed a slot. It only says where to
// look first.
type ring struct {
	mu     sync.Mutex
	after  map[Kind]any
	round  map[Kind]bool // whether the last walk went all the way round
	walks  int
	ahead  []Gate
	perRun float64 // how many gates a pass takes for each run that it may start, at most one
	freed  map[Gate]bool
	turn   int // of passes: the walk has every fourth, so that no gate is forgotten over those that are freed
}

// free remembers a gate in which a run has just finished.
func (r *ring) free(g Gate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.freed == nil {
		r.freed = map[Gate]bool{}
	}
	r.freed[g] = true
}

// takeFreed takes up to n of the freed gates, but for every fourth time.
func (r *ring) takeFreed(n int) (gates []Gate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turn++; r.turn%4 == 0 {
		return nil
	}
	for g := range r.freed {
		if len(gates) == n {
			break
		}
		delete(r.freed, g)
		gates = append(gates, g)
	}
	return gates
}

// takeAhead takes gates for a pass of so many runs from those that were found ahead, and
// reports whether they were enough.
func (r *ring) takeAhead(runs, atMost int) (gates []Gate, enough bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	want := min(atMost, int(math.Ceil(r.perRun*float64(runs))))
	n := min(want, len(r.ahead))
	gates, r.ahead = r.ahead[:n:n], r.ahead[n:]
	return gates, n == want
}

// findAhead puts gates that were found behind those that are left, kind by kind in turn.
func (r *ring) findAhead(left, found []Gate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	nth := map[Kind]int{}
	turn := map[Gate]int{}
	for _, g := range found {
		turn[g] = nth[g.Kind]
		nth[g.Kind]++
	}
	slices.SortStableFunc(found, func(a, b Gate) int { return turn[a] - turn[b] })
	for _, g := range found {
		if !slices.Contains(left, g) {
			left = append(left, g)
		}
	}
	r.ahead = left
}

// learn sees what a pass for so many runs made of its gates: how many these had room for, and
// how many it started. When there was room for more, fewer gates may do, since a gate that
// is held and not used keeps others out; when the gates gave all they had, the next pass takes
// as many as it needs at that rate. One that started nothing went by what was found too long ago.
func (r *ring) learn(gates, room, started, runs int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case started == 0:
		r.ahead, r.perRun = nil, 1
	case started == runs:
		r.perRun = float64(gates) * max(1/float64(room), 0.75/float64(runs))
	default:
		r.perRun = min(1, float64(gates)/float64(started))
	}
}

// nextGates are the gates of a pass: those that the walk has found ahead, or the next ones; in
// the second case they are fresh.
func (r *Repo) nextGates(ctx context.Context, runs int) (gates []Gate, fresh bool, err error) {
	limit := max(1, r.gatesOfKind(runs))
	gates, enough := r.ring.takeAhead(runs, limit*len(r.kinds))
	if enough {
		return gates, false, nil
	}
	found, err := r.waitingGates(ctx, limit)
	if err != nil {
		return nil, true, err
	}
	r.ring.findAhead(gates, found)
	gates, _ = r.ring.takeAhead(runs, limit*len(r.kinds))
	return gates, true, nil
}

// waitingGates is the hint: gates that have due runs and seem to have room, read before the
// transaction: of each kind, the next ones around the ring of keys. Nothing depends on its
// being right. What lies behind the scheduler's place is asked for at once when the last walk had to
// go there, or else in a second statement where the ring ends: MySQL and MariaDB look for all
// parts of a statement, also when the first has enough.
func (r *Repo) waitingGates(ctx context.Context, limit int) (found []Gate, err error) {
	now, _, err := r.now(ctx)
	if err != nil {
		return nil, err
	}
	places, round, err := r.places(ctx)
	if err != nil {
		return nil, err
	}
	for _, second := range []bool{false, true} {
		var u union
		for _, k := range r.kinds {
			missing := limit - len(k.of(found))
			values := map[string]any{"place": places[k.kind], "now": now, "missing": missing}
			if !second {
				u.add(k.walk(">"), values)
			}
			if missing > 0 && round[k.kind] != second {
				u.add(k.walk("<="), values)
			}
		}
		if len(u.selects) == 0 {
			break
		}
		var some []Gate
		if err := r.db.WithContext(ctx).Raw("?", r.named(u)).Scan(&some).Error; err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return r.moveBehind(places, found, limit), nil
}

// gatesOfKind is how many gates of a kind a pass takes: about as many in all as runs; share has
// the rest. It may be none.
func (r *Repo) gatesOfKind(runs int) int { return min(r.gatesPerPass, runs/len(r.kinds)) }

// walk finds the next @missing gates of a kind from @place on.
func (k kind) walk(direction string) string {
	return "SELECT * FROM (SELECT " + k.names + " FROM " + k.from + " WHERE " + k.column + " " + direction + " @place AND " + k.some() + " AND " + k.admits +
		" AND " + k.due("@now") + " AND " + k.limit + " > " + k.running() + " ORDER BY " + k.column + " LIMIT @missing) " + string(k.kind) + "_ring"
}

// places are the keys after which the walk goes on, by kind, and whether the last walk went all
// the way round. A scheduler begins at gates picked at random, so that several do not walk side by side.
func (r *Repo) places(ctx context.Context) (places map[Kind]any, round map[Kind]bool, err error) {
	places, round = r.ring.places()
	for _, k := range r.kinds {
		if _, ok := places[k.kind]; !ok {
			if places[k.kind], err = r.anyPlace(ctx, k); err != nil {
				return nil, nil, err
			}
		}
	}
	return places, round, nil
}

func (r *ring) places() (places map[Kind]any, round map[Kind]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.after), maps.Clone(r.round)
}

// anyPlace is the key of a gate picked at random, or the place before them all.
func (r *Repo) anyPlace(ctx context.Context, k kind) (any, error) {
	db := r.db.WithContext(ctx)
	var gates int64
	if err := db.Model(k.model).Count(&gates).Error; err != nil {
		return nil, err
	}
	var picked []Gate
	if err := db.Raw(r.sql("SELECT "+k.names+" FROM "+k.from+" ORDER BY "+k.column+" LIMIT 1 OFFSET ?"), rand.N(gates+1)).Scan(&picked).Error; err != nil {
		return nil, err
	}
	if len(picked) == 0 {
		return k.start, nil
	}
	return k.key(picked[0]), nil
}

// moveBehind puts the scheduler's places behind the gates that were found, as many as were asked
// for. The kinds take turns in coming first, since a pass may have one gate only.
func (r *Repo) moveBehind(places map[Kind]any, found []Gate, limit int) (inTurn []Gate) {
	r.ring.mu.Lock()
	defer r.ring.mu.Unlock()
	for i := range r.kinds {
		k := r.kinds[(r.ring.walks+i)%len(r.kinds)]
		gates := k.of(found)
		gates = gates[:min(limit, len(gates))]
		r.ring.round[k.kind] = len(gates) < limit
		r.ring.after[k.kind] = places[k.kind]
		if len(gates) > 0 {
			r.ring.after[k.kind] = k.key(gates[len(gates)-1])
		}
		inTurn = append(inTurn, gates...)
	}
	r.ring.walks++
	return inTurn
}
