package tests

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// A crew is scheduler processes that compete while faults are injected, and the process that
// counts and queues. The schedulers are those of package runner. Whatever breaks:
//
//  1. no gate ever has more runs running than its limit, counted outside the database, and in
//     every snapshot of it;
//  2. each attempt is handled once at most, and the last one of each run exactly once;
//  3. nothing that was queued is lost, and no slot: all runs end, and each gate is then filled
//     to its limit again;
//  4. after each fault runs end as before, within seconds.
type crew struct {
	*world
	nodes   []testdb.Database // schedulers are spread over them
	job     work              // of each scheduler
	limits  map[repo.Gate]int
	tally   *exercise.Tally
	members []*member
	tend    func() // looks after the servers, now and then
	next    int    // the number of the next run
	sure    []string
	ordeal

	mu     sync.Mutex
	hands  map[int64]inHand // by run
	begun  map[attempt]int  // how often it was handed to a handler
	ended  map[attempt]int
	newest map[int64]int // the attempt of each run that began last
}

// ordeal is what a crew has been through.
type ordeal struct {
	faults    map[string]int
	back      map[string]time.Duration // the longest time after a fault until ten runs had ended
	spawned   int
	snapshots int
}

// inHand is a run that a member executes.
type inHand struct {
	by  *member
	run models.DagRun
}

// member is a process of the crew, and the Counter that it tells.
type member struct {
	*process
	crew *crew
	node testdb.Database
	job  work
}

// Up implements [exercise.Counter]. An attempt that was taken from its scheduler while that
// was stopped, and is executed nevertheless, holds no slot: it ends when the next one begins.
// That is in time, since a run that is queued again is the first of its gate.
func (m *member) Up(run models.DagRun) error {
	c := m.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun[attemptOf(run)]++
	if run.ClearNumber < c.newest[run.ID] {
		return nil
	}
	c.newest[run.ID] = run.ClearNumber
	c.put(run.ID)
	c.hands[run.ID] = inHand{m, run}
	return c.tally.Up(run)
}

// Down implements [exercise.Counter].
func (m *member) Down(run models.DagRun) error {
	c := m.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended[attemptOf(run)]++
	if run.ClearNumber == c.newest[run.ID] {
		c.put(run.ID)
	}
	return nil
}

// put takes a run off the count. Who calls it holds the crew's lock.
func (c *crew) put(id int64) {
	if h, up := c.hands[id]; up {
		delete(c.hands, id)
		_ = c.tally.Down(h.run) // which never fails
	}
}

// takenForDead is the silence after which schedulers of a crew are.
const takenForDead = 3 * time.Second

// muster queues runs at gates of both kinds and starts the schedulers.
func (w *world) muster(job work, limit time.Duration, nodes ...testdb.Database) *crew {
	ctx, cancel := context.WithTimeout(w.T.Context(), limit) // against hanging
	w.Cleanup(cancel)
	w.ctx = ctx
	c := &crew{
		world: w, nodes: nodes, job: job, limits: mixedContest(w), tally: exercise.NewTally(), tend: func() {},
		ordeal: ordeal{faults: map[string]int{}, back: map[string]time.Duration{}},
		hands:  map[int64]inHand{}, begun: map[attempt]int{}, ended: map[attempt]int{}, newest: map[int64]int{},
	}
	c.job.Runner = true
	w.Cleanup(func() { // after a failure
		for _, m := range c.members {
			_ = m.cmd.Process.Kill()
		}
	})
	for i := range schedulers {
		c.join(nodes[i%len(nodes)], c.job)
	}
	return c
}

// join starts a scheduler on a node.
func (c *crew) join(node testdb.Database, job work) {
	m := &member{crew: c, node: node, job: job}
	m.process = c.spawnOn(node, job, m)
	c.members = append(c.members, m)
	c.spawned++
}

// anyone is a member by chance.
func (c *crew) anyone() *member { return c.members[rand.N(len(c.members))] }

func (m *member) signal(s syscall.Signal) { require.NoError(m.crew, m.cmd.Process.Signal(s)) }

// replace ends a scheduler with SIGKILL and starts another in its place, on the same node.
func (c *crew) replace(m *member, job work) {
	m.signal(syscall.SIGKILL)
	m.killed(c.world)
	c.mu.Lock()
	for id, h := range c.hands {
		if h.by == m {
			c.put(id) // nobody executes it any more
		}
	}
	c.mu.Unlock()
	c.members = slices.DeleteFunc(c.members, func(other *member) bool { return other == m })
	c.join(m.node, job)
}

// soon is a context for what must not wait long: a stopped scheduler may hold what it is about.
func (c *crew) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, time.Second)
}

// feed keeps runs waiting at each gate. Errors are the faults' doing; what was queued without
// one must not be lost.
func (c *crew) feed() {
	ctx, cancel := c.soon()
	defer cancel()
	for g := range c.limits {
		waiting, err := c.waiting(ctx, g)
		if err != nil || waiting > 20 {
			continue
		}
		var runs []models.DagRun
		for range 20 {
			runs = append(runs, c.fresh(g))
		}
		queued, err := c.r.Enqueue(ctx, runs...)
		if err != nil {
			continue
		}
		for _, run := range queued {
			c.sure = append(c.sure, run.RunID)
		}
	}
}

// waiting is how many runs are queued at a gate.
func (c *crew) waiting(ctx context.Context, g repo.Gate) (n int64, err error) {
	at := c.db.WithContext(ctx).Model(&models.DagRun{}).Where("state = ? AND dag_id = ?", models.Queued, g.DagID)
	if g.Kind == repo.BackfillGate {
		at = at.Where("backfill_id = ?", g.BackfillID)
	} else {
		at = at.Where("backfill_id IS NULL")
	}
	err = at.Count(&n).Error
	return n, err
}

// fresh is a run of a gate that is due after those before it.
func (c *crew) fresh(g repo.Gate) models.DagRun {
	c.next++
	run := models.DagRun{DagID: g.DagID, RunID: fmt.Sprintf("fed_%d", c.next), RunAfter: models.At(past.Add(time.Duration(c.next) * time.Minute))}
	if g.Kind == repo.BackfillGate {
		run.BackfillID = &g.BackfillID
	}
	return run
}

// look counts what runs in one snapshot of the database.
func (c *crew) look() {
	var found []struct {
		DagID      string
		BackfillID *int64
		N          int
	}
	if c.db.WithContext(c.ctx).Model(&models.DagRun{}).Select("dag_id, backfill_id, COUNT(*) AS n").
		Where("state = ?", models.Running).Group("dag_id, backfill_id").Scan(&found).Error != nil {
		return
	}
	c.snapshots++
	for _, f := range found {
		g := repo.GateOf(models.DagRun{DagID: f.DagID, BackfillID: f.BackfillID})
		require.LessOrEqual(c, f.N, c.limits[g], "running in a snapshot of %v", g)
	}
}

// until goes on, with an eye on the limits, until something is so.
func (c *crew) until(what string, so func() bool) {
	c.Helper()
	for !so() {
		c.look()
		c.alive()
		c.tend()
		wait(c.ctx, 20*time.Millisecond)
		require.NoError(c, c.ctx.Err(), "%s: has not come to pass", what)
	}
}

// alive asserts that no scheduler has ended by itself.
func (c *crew) alive() {
	for _, m := range c.members {
		if len(m.served) > 0 {
			require.NoError(c, m.wait(), "a scheduler has ended")
			require.Fail(c, "a scheduler has ended")
		}
	}
}

// handled is how many attempts have ended.
func (c *crew) handled() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ended)
}

// during goes on for a time.
func (c *crew) during(d time.Duration) {
	end := time.Now().Add(d)
	c.until("time passes", func() bool { return time.Now().After(end) })
}

// progress waits until n more runs have ended.
func (c *crew) progress(what string, n int) {
	c.Helper()
	before := c.handled()
	c.until(what, func() bool {
		c.feed()
		return c.handled() >= before+n
	})
}

// A fault is something that goes wrong, and is put right when it returns.
type fault struct {
	name string
	do   func(*crew)
}

// backAfter is how long it may take after a fault until ten runs have ended, on a machine that
// is busy with the servers, the schedulers, and those who restart them.
const backAfter = 30 * time.Second

// suffer injects each fault so often, in an order by chance, and goes on for so long.
func (c *crew) suffer(faults []fault, each int, lasting time.Duration) {
	end := time.Now().Add(lasting)
	var due []fault
	for range each {
		due = append(due, faults...)
	}
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	for i := 0; i < len(due) || time.Now().Before(end); i++ {
		f := due[i%len(due)]
		f.do(c)
		c.faults[f.name]++
		over := time.Now()
		c.progress("runs end again after: "+f.name, 10)
		c.back[f.name] = max(c.back[f.name], time.Since(over).Round(time.Millisecond))
	}
	for name, longest := range c.back {
		require.LessOrEqual(c, longest, backAfter, "until runs ended again after: %s", name)
	}
}

// over waits until all has ended, sends the schedulers home, and checks what was promised. It
// returns how often runs were queued again.
func (c *crew) over() (again int) {
	c.Helper()
	c.until("all runs end", func() bool {
		var left int64
		return c.db.WithContext(c.ctx).Model(&models.DagRun{}).Where("state IN ?", []models.State{models.Queued, models.Running}).Count(&left).Error == nil && left == 0
	})
	for _, m := range c.members {
		m.signal(syscall.SIGINT)
	}
	for _, m := range c.members {
		require.NoError(c, m.wait())
	}
	var runs []models.DagRun
	require.NoError(c, c.db.Find(&runs).Error)
	found := map[string]bool{}
	for _, run := range runs {
		found[run.RunID] = true
		require.Equal(c, models.Success, run.State, run.RunID)
		require.Equal(c, 1, c.ended[attemptOf(run)], "the last attempt of %s has been handled so often", run.RunID)
		again += run.ClearNumber
	}
	for _, id := range c.sure {
		require.True(c, found[id], "%s is lost", id)
	}
	for a, n := range c.begun {
		require.Equal(c, 1, n, "attempt %d of run %d was handed out so often", a.clear, a.id)
	}
	for g, limit := range c.limits {
		require.LessOrEqual(c, c.tally.Peak(g), limit, "peak of %v", g)
		require.Positive(c, c.tally.Peak(g), "%v started nothing", g)
	}
	c.noSlotLeaked()
	c.Logf("faults: %v; the longest time until ten runs had ended again: %v", c.faults, c.back)
	c.Logf("checked: %d admissions of %d runs, %d queued again, %d scheduler processes, %d snapshots; peaks: %v",
		len(c.begun), len(runs), again, c.spawned, c.snapshots, c.peaks())
	return again
}

func (c *crew) peaks() (peaks []string) {
	for g, limit := range c.limits {
		peaks = append(peaks, fmt.Sprintf("%d of %d", c.tally.Peak(g), limit))
	}
	slices.Sort(peaks)
	return peaks
}

// noSlotLeaked fills each DAG's gate to its limit.
func (c *crew) noSlotLeaked() {
	for g, limit := range c.limits {
		if g.Kind == repo.DagGate {
			c.world.queue(g.DagID, limit+1, past.AddDate(-1, 0, 0), time.Minute)
		} else {
			require.NoError(c, exercise.Extend(c.ctx, c.db, c.r, g, limit+1))
		}
	}
	c.pass()
	c.running(c.limits)
}

// wait waits for a time or until the context ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
