package repo

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/usher-go/usher/models"
)

// Bounds of an [Explanation]: its cost must not grow with the queue.
const (
	maxAhead   = 1000 // how far down the gate's line a run is looked for
	maxHolders = 20   // how many of the running runs are named
)

// whyAttempts is how often Why looks again because the run left the queue meanwhile.
const whyAttempts = 3

// Explanation says what a run waits for.
type Explanation struct {
	// Run is the run as it was found.
	Run models.DagRun `json:"run"`
	// Gate is the gate that the run goes through.
	Gate Gate `json:"gate"`
	// MaxActiveRuns is the limit in force; nil when the gate has no row.
	MaxActiveRuns *int `json:"max_active_runs"`
	// Running counts the gate's running runs.
	Running int `json:"running"`
	// Reasons are all that hold the run at this moment; for a run that waits for nothing, or
	// does not wait, the one that says so.
	Reasons []Reason `json:"reasons"`
}

// Reason is one reason why a run waits.
type Reason struct {
	// Kind is the reason for programs, and Text for people: a sentence without its full stop.
	Kind ReasonKind `json:"kind"`
	Text string     `json:"text"`
	// RunAfter, of [NotDue], is when the run will be due.
	RunAfter models.Time `json:"run_after,omitzero"`
	// Holders, of [GateFull], are the runs that hold the slots: the first 20 by start_date.
	Holders []Holder `json:"holders,omitempty"`
	// Ahead, of [Behind], is how many due runs come before it in the gate's order. From 1000
	// on it is no longer counted, and AheadOrMore is set.
	Ahead       int  `json:"ahead,omitempty"`
	AheadOrMore bool `json:"ahead_or_more,omitempty"`
}

// Holder is a run that holds a slot.
type Holder struct {
	// ID and RunID name the run; it is of the gate's DAG.
	ID    int64  `json:"id"`
	RunID string `json:"run_id"`
	// StartDate is since when.
	StartDate models.Time `json:"start_date"`
	// ScheduledByJobID is the scheduler that admitted it; nil when that had no job.
	ScheduledByJobID *int64 `json:"scheduled_by_job_id"`
}

// Why says what a run waits for: every reason that holds now, or that there is none and the
// next pass will start it. Of a run that is not queued it says what it is. While a row that
// the gate needs is missing, no more is known of the gate. It disturbs no pass, but for one
// that comes to the gate at the moment in which Why tries whether it is held.
//
// The cost depends neither on the length of the queue nor on the number of gates. It returns
// [ErrRunNotFound], [ErrDagNotFound] or [ErrInvalid], as [Repo.Run] does.
func (r *Repo) Why(ctx context.Context, dagID, runID string) (Explanation, error) {
	for attempt := 1; ; attempt++ {
		run, err := r.Run(ctx, dagID, runID)
		if err != nil {
			return Explanation{}, err
		}
		e, settled, err := r.why(ctx, run)
		if err != nil || settled || attempt == whyAttempts {
			return e, r.explain("explain run", err)
		}
	}
}

// facts are the run, its gate and the time, read in one statement.
type facts struct {
	models.DagRun
	GateLimit   *int
	GateRunning int
	GateNeeds   int
	GateBars    int
	ReadAt      models.Time
}

// facts reads them: the run is r, as in the conditions of the kinds. When the gate has no
// row, it reads which of the rows that make it are missing.
func (r *Repo) facts(ctx context.Context, k kind, run models.DagRun) (f facts, err error) {
	_, clock, err := r.now(ctx)
	if err != nil {
		return f, err
	}
	for _, rest := range []string{
		k.limit + " AS gate_limit, " + k.running() + " AS gate_running, " + present(k.bars) + " AS gate_bars FROM " + k.from + " JOIN {dag_run} r ON " + k.runs,
		present(k.needs) + " AS gate_needs FROM {dag_run} r",
	} {
		found := r.db.WithContext(ctx).Raw(r.sql("SELECT {r.*}, "+clock+" AS read_at, "+rest+" WHERE r.id = ?"), run.ID).Scan(&f)
		if found.Error != nil || found.RowsAffected > 0 {
			f.ReadAt = r.clockOr(f.ReadAt)
			return f, found.Error
		}
	}
	return f, fmt.Errorf("%w: %s of DAG %s", ErrRunNotFound, run.RunID, run.DagID)
}

// why explains a run; it is not settled when the run has left the queue in the course of it.
func (r *Repo) why(ctx context.Context, run models.DagRun) (e Explanation, settled bool, err error) {
	k := r.kindOf(GateOf(run))
	f, err := r.facts(ctx, k, run)
	if err != nil {
		return e, false, err
	}
	e = Explanation{Run: f.DagRun, Gate: GateOf(run), MaxActiveRuns: f.GateLimit, Running: f.GateRunning}
	if f.State != models.Queued {
		e.Reasons = []Reason{{Kind: NotQueued, Text: whatIs(f.DagRun)}}
		return e, true, nil
	}
	if due := !f.RunAfter.After(f.ReadAt.Time); !due {
		e.Reasons = append(e.Reasons, Reason{Kind: NotDue, Text: "it is not due before " + isoformat(f.RunAfter), RunAfter: f.RunAfter})
	}
	if f.GateLimit == nil {
		e.Reasons = append(met(k.needs, f.GateNeeds, e.Gate), e.Reasons...)
		return e, f.GateNeeds != 0, nil
	}
	e.Reasons = append(met(k.bars, f.GateBars, e.Gate), e.Reasons...)
	settled, err = r.whyAtGate(ctx, k, &e, f.ReadAt)
	if err == nil && len(e.Reasons) == 0 {
		e.Reasons = []Reason{{Kind: NextPass, Text: "nothing: the next pass will start it"}}
	}
	return e, settled, err
}

// whyAtGate adds what a gate that is there has against the run: its slots, its line, its holder.
func (r *Repo) whyAtGate(ctx context.Context, k kind, e *Explanation, now models.Time) (settled bool, err error) {
	room := *e.MaxActiveRuns - e.Running
	if room <= 0 {
		full := Reason{Kind: GateFull, Text: fmt.Sprintf("the gate of %s is full: %d of %d slots are taken", e.Gate, e.Running, *e.MaxActiveRuns)}
		if full.Holders, err = r.holders(ctx, k, e.Gate); err != nil {
			return false, err
		}
		e.Reasons = append(e.Reasons, full)
	}
	settled = true
	if !e.Run.RunAfter.After(now.Time) {
		var ahead int
		if ahead, settled, err = r.ahead(ctx, e.Gate, e.Run); err != nil {
			return false, err
		}
		if ahead > 0 && ahead >= room {
			e.Reasons = append(e.Reasons, behind(ahead))
		}
	}
	held, err := k.held(ctx, r.db, e.Gate)
	if held {
		e.Reasons = append(e.Reasons, Reason{Kind: GateHeld, Text: "another transaction holds the gate of " + e.Gate.String() + " at this moment, such as the pass of another scheduler"})
	}
	return settled, err
}

// ahead counts the due runs before the run, as far as it looks. It asks as a pass does, so
// that the order is the one in which runs start.
func (r *Repo) ahead(ctx context.Context, g Gate, run models.DagRun) (ahead int, found bool, err error) {
	line, err := r.queues(r.db.WithContext(ctx), []openGate{{Gate: g, Slots: maxAhead}}, "", r.pickedIDs)
	place := slices.IndexFunc(line, func(r models.DagRun) bool { return r.ID == run.ID })
	if place < 0 {
		return len(line), len(line) == maxAhead, err
	}
	return place, true, err
}

func behind(ahead int) Reason {
	number := strconv.Itoa(ahead)
	if ahead >= maxAhead {
		number = "at least " + number
	}
	return Reason{Kind: Behind, Ahead: ahead, AheadOrMore: ahead >= maxAhead, Text: "due runs that come before it in the gate's order: " + number}
}

// holders are the runs that hold the gate's slots.
func (r *Repo) holders(ctx context.Context, k kind, g Gate) (holders []Holder, err error) {
	return holders, r.db.WithContext(ctx).Raw(r.sql("SELECT r.id AS id, r.run_id AS run_id, r.start_date AS start_date, r.scheduled_by_job_id AS scheduled_by_job_id FROM "+k.from+
		" JOIN {dag_run} r{by index} ON r.state = 'running' AND "+k.runs+" WHERE "+k.column+" = ? ORDER BY r.start_date, r.id LIMIT ?"), k.key(g), maxHolders).Scan(&holders).Error
}

// whatIs says what a run is that is not queued.
func whatIs(run models.DagRun) string {
	when := func(what string, t models.Time) string {
		if t.IsZero() {
			return ""
		}
		return " " + what + " " + isoformat(t)
	}
	switch {
	case run.State == models.Running && run.ScheduledByJobID != nil:
		return fmt.Sprintf("it is running%s, in the name of job %d", when("since", run.StartDate), *run.ScheduledByJobID)
	case run.State == models.Running:
		return "it is running" + when("since", run.StartDate)
	case run.State.Finished():
		return fmt.Sprintf("it ended in %s%s%s", run.State, when("at", run.EndDate), when("and had started at", run.StartDate))
	}
	return fmt.Sprintf("its state is %q, in which nothing starts it: queue it again", run.State)
}
