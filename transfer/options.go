package transfer

import "time"

// DefaultSilence is how long a scheduler must have been silent to be no obstacle. It is the time
// after which a scheduler of package runner is taken for dead, unless it is told otherwise.
const DefaultSilence = 30 * time.Second

// settings are what the options change.
type settings struct {
	ahead    bool
	silence  time.Duration
	progress func(done, total int)
}

// Option changes how [Copy] works.
type Option func(*settings)

// Ahead copies while schedulers work on the source, so that a later copy, with the schedulers
// stopped, has little to do. The target is left unfinished, and is not compared. Defaults to off.
func Ahead() Option { return func(s *settings) { s.ahead = true } }

// SilentFor is how long schedulers of the source must have been silent, by the clock of its
// database, unless they have left: longer than they pause between heartbeats. Defaults to
// [DefaultSilence].
func SilentFor(d time.Duration) Option { return func(s *settings) { s.silence = d } }

// Progress is called in the course of the work, with the number of rows looked at and about how
// many there will be. Defaults to nothing.
func Progress(report func(done, total int)) Option { return func(s *settings) { s.progress = report } }
