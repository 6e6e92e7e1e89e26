package models

import "fmt"

// State is where a run is in its life.
type State string

// The states of a run, as Airflow names them.
const (
	Queued  State = "queued"  // waits for a slot of its gate
	Running State = "running" // holds a slot
	Success State = "success" // ended well
	Failed  State = "failed"  // ended badly
)

// ParseState reads a state, and lists the known ones when s is none of them.
func ParseState(s string) (State, error) {
	switch state := State(s); state {
	case Queued, Running, Success, Failed:
		return state, nil
	}
	return "", fmt.Errorf("unknown state %q: use queued, running, success or failed", s)
}

// Finished reports whether a run in this state has ended.
func (s State) Finished() bool { return s == Success || s == Failed }

// SetState moves the run to a state at the instant now, by Airflow's table (DagRun.set_state):
//
//	to queued                        queued_at = now, start_date and end_date cleared
//	to running, not from running     start_date = now, end_date cleared
//	to success or failed             end_date = now, unless the run had ended before
//	to the state that it has         nothing, but for queued, which is queued at now
//
// It changes the value in memory; package repo makes the change in the database.
func (r *DagRun) SetState(to State, now Time) {
	from := r.State
	if from == to && to != Queued {
		return
	}
	r.State = to
	switch {
	case to == Queued:
		r.QueuedAt, r.StartDate, r.EndDate = now, Time{}, Time{}
	case to == Running:
		r.StartDate, r.EndDate = now, Time{}
	case !from.Finished():
		r.EndDate = now
	}
}
