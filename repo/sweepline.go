package repo

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/usher-go/usher/models"
)

// sweep goes along the time line of one gate after the other, and reports when there were too
// many runs. It is told of runs in the order in which they started.
type sweep struct {
	report  func(Violation) bool // false to stop
	gate    Gate
	limit   int
	running byEnd
	found   *Violation // that goes on, or has ended at the instant that is looked at
	number  int        // of found, from 1
	stopped bool
}

// enter goes to the next gate, and reports whether to go on.
func (s *sweep) enter(g Gate, limit int) bool {
	s.leave()
	s.gate, s.limit, s.running = g, limit, s.running[:0]
	return !s.stopped
}

// leave goes to the end of the gate's time line.
func (s *sweep) leave() {
	for len(s.running) > 0 && !s.running[0].EndDate.IsZero() {
		s.end()
	}
	s.conclude()
}

// start takes a run in, after those that had ended by then have gone, and reports whether to go on.
func (s *sweep) start(run AuditedRun) bool {
	for len(s.running) > 0 && s.running[0].endsBy(run.StartDate) {
		s.end()
	}
	if s.found != nil && !s.found.To.IsZero() && s.found.To.Before(run.StartDate.Time) {
		s.conclude()
	}
	entered := &swept{AuditedRun: run}
	heap.Push(&s.running, entered)
	switch {
	case len(s.running) <= s.limit:
	case s.found == nil || !s.found.To.IsZero():
		s.exceed(run.StartDate)
	default:
		s.count(entered)
	}
	return !s.stopped
}

// end lets the run go that ends first. The violation may go on: others may start at that instant.
func (s *sweep) end() {
	run := heap.Pop(&s.running).(*swept)
	if s.found != nil && s.found.To.IsZero() && len(s.running) <= s.limit {
		s.found.To = run.EndDate
	}
}

// exceed notes that there are too many runs from an instant on. If there were until that
// instant, the violation goes on.
func (s *sweep) exceed(at models.Time) {
	if s.found == nil {
		s.found = &Violation{Gate: s.gate, MaxActiveRuns: s.limit, From: at}
		s.number++
	}
	s.found.To = models.Time{}
	byStart := slices.SortedFunc(slices.Values(s.running), func(a, b *swept) int {
		return cmp.Or(a.StartDate.Compare(b.StartDate.Time), cmp.Compare(a.ID, b.ID))
	})
	for _, run := range byStart {
		s.count(run)
	}
}

// count counts a run in the violation, once.
func (s *sweep) count(run *swept) {
	s.found.Peak = max(s.found.Peak, len(s.running))
	if run.in == s.number {
		return
	}
	run.in = s.number
	s.found.Total++
	if len(s.found.Runs) < auditedRuns {
		s.found.Runs = append(s.found.Runs, run.AuditedRun)
	}
}

// conclude reports the violation that has ended, or goes on to this day.
func (s *sweep) conclude() {
	if s.found != nil && !s.stopped {
		s.stopped = !s.report(*s.found)
	}
	s.found = nil
}

// swept is a run of the sweep, and the number of the violation that it was counted in.
type swept struct {
	AuditedRun
	in int
}

// endsBy reports whether the run has ended at the instant.
func (r *swept) endsBy(at models.Time) bool {
	return !r.EndDate.IsZero() && !r.EndDate.After(at.Time)
}

// byEnd is a heap of runs with the one that ends first on top; those that go on come last.
type byEnd []*swept

func (h byEnd) Len() int { return len(h) }

func (h byEnd) Less(i, j int) bool {
	if h[i].EndDate.IsZero() || h[j].EndDate.IsZero() {
		return h[j].EndDate.IsZero() && !h[i].EndDate.IsZero()
	}
	return h[i].EndDate.Before(h[j].EndDate.Time)
}

func (h byEnd) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *byEnd) Push(run any) { *h = append(*h, run.(*swept)) }

// Pop implements [heap.Interface].
func (h *byEnd) Pop() any {
	last := len(*h) - 1
	run := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	return run
}
