package runner

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// Defaults of the options of [Run].
const (
	DefaultWorkers   = 16               // of Workers
	DefaultPoll      = time.Second      // of Poll
	DefaultHeartbeat = 5 * time.Second  // of Heartbeat
	DefaultDeadAfter = 30 * time.Second // of DeadAfter
	DefaultDrain     = 30 * time.Second // of Drain
)

// settings are what the options change.
type settings struct {
	workers   int
	poll      time.Duration
	heartbeat time.Duration
	deadAfter time.Duration
	drain     time.Duration
	onDead    models.State
	logger    *slog.Logger
}

// Option changes how [Run] works, which refuses values that make no sense ([repo.ErrInvalid]).
type Option func(*settings)

// Workers is how many runs this scheduler executes at a time, 1 or more: it admits no more than
// it has hands free. Defaults to 16.
func Workers(n int) Option { return func(s *settings) { s.workers = n } }

// Poll is the pause after a pass that started nothing, about: half of it to one and a half
// times, at random. A run that ends here ends the pause at once. Defaults to 1 s.
func Poll(d time.Duration) Option { return func(s *settings) { s.poll = d } }

// Heartbeat is the longest time from one heartbeat to the next, and between looking for runs
// of dead schedulers. Defaults to 5 s.
func Heartbeat(d time.Duration) Option { return func(s *settings) { s.heartbeat = d } }

// DeadAfter is how long another scheduler must have been silent to be taken for dead: more
// than three heartbeats. A third of it is the longest time that a question to the database may
// take. Give all schedulers the same. Defaults to 30 s.
func DeadAfter(d time.Duration) Option { return func(s *settings) { s.deadAfter = d } }

// OnDead is what becomes of the runs of a dead scheduler: models.Queued, again, or
// models.Failed. Defaults to models.Queued.
func OnDead(state models.State) Option { return func(s *settings) { s.onDead = state } }

// Drain is how long handlers may go on after the end of the context that Run was given, before
// their own contexts are cancelled; 0 cancels them at once. Defaults to 30 s.
func Drain(d time.Duration) Option { return func(s *settings) { s.drain = d } }

// Logger is where the runner tells of what happens to it: at level debug of contention; at info of
// its registration; at warn of runs that did not succeed, that others changed or left behind, and of
// errors that pass; at error of handlers that panic. Defaults to nowhere.
func Logger(logger *slog.Logger) Option { return func(s *settings) { s.logger = logger } }

// chosen are the defaults with the options applied.
func chosen(options []Option) (settings, error) {
	s := settings{
		workers: DefaultWorkers, poll: DefaultPoll, heartbeat: DefaultHeartbeat, deadAfter: DefaultDeadAfter,
		drain: DefaultDrain, onDead: models.Queued, logger: slog.New(slog.DiscardHandler),
	}
	for _, option := range options {
		option(&s)
	}
	return s, s.check()
}

func (s settings) check() error {
	switch {
	case s.workers < 1:
		return fmt.Errorf("%w number of workers %d: use 1 or more", repo.ErrInvalid, s.workers)
	case s.poll <= 0:
		return fmt.Errorf("%w poll %s: use a positive time", repo.ErrInvalid, s.poll)
	case s.heartbeat <= 0:
		return fmt.Errorf("%w heartbeat %s: use a positive time", repo.ErrInvalid, s.heartbeat)
	case s.deadAfter/3 <= s.heartbeat:
		return fmt.Errorf("%w time until death %s: use more than three heartbeats of %s", repo.ErrInvalid, s.deadAfter, s.heartbeat)
	case s.drain < 0:
		return fmt.Errorf("%w drain %s: use 0 or a positive time", repo.ErrInvalid, s.drain)
	case s.onDead != models.Queued && s.onDead != models.Failed:
		return fmt.Errorf("%w state %q for runs of the dead: use queued or failed", repo.ErrInvalid, s.onDead)
	case s.logger == nil:
		return fmt.Errorf("%w logger: it is nil", repo.ErrInvalid)
	}
	return nil
}
