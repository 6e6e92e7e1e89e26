package tests

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/exercise"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// work is what a process of its own is to do.
type work struct {
	DSN, Driver      string
	Migrate          bool
	DefaultIsolation bool
	KilledBefore     int   // a creator of a backfill, killed before this statement of it
	Job              int64 // the id of the scheduler
	Dies             bool  // after After statements of a pass, or when it has returned
	After            int
	Runner           bool          // go on until interrupted
	DeadAfter        time.Duration // the silence after which a runner is taken for dead; 0: none is
	Parent           time.Time     // the time of a parent whose clock this program's must be ahead of
	Copying          *copying      // copy, and do nothing else
	program          string        // empty: this one
}

const workVariable = "USHER_TEST_WORK"

// TestMain runs the tests, or, in a process that a test has started, the work.
func TestMain(m *testing.M) {
	if text := os.Getenv(workVariable); text != "" {
		if err := do(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func do(text string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var job work
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return err
	}
	if job.Copying != nil {
		return job.Copying.run(ctx)
	}
	db, err := job.open()
	for err != nil && job.DeadAfter > 0 && ctx.Err() == nil { // its supervisor starts it again
		<-time.After(20 * time.Millisecond)
		db, err = job.open()
	}
	if err != nil {
		return err
	}
	if job.Dies {
		return die(ctx, db, job)
	}
	r, err := repo.New(db)
	if err != nil {
		return err
	}
	if job.Migrate {
		return r.Migrate(ctx)
	}
	if !job.Parent.IsZero() && time.Since(job.Parent.Round(0)) < 50*time.Minute {
		return errors.New("the clock is not ahead")
	}
	if job.KilledBefore > 0 {
		return createAndDie(ctx, db, r, job.KilledBefore)
	}
	if job.Runner {
		return execute(ctx, r, job)
	}
	scheduler := exercise.Scheduler{
		Repo: r, Counter: exercise.NewRemote(os.Stdout, os.Stdin), Admit: r.Admit, Work: workTime, Final: models.Success,
	}
	return scheduler.Run(ctx)
}

func (j work) open() (*gorm.DB, error) {
	var options []locking.Option
	if j.DefaultIsolation {
		options = append(options, locking.DefaultIsolation())
	}
	return testdb.Database{DSN: j.DSN, Driver: j.Driver}.Connect(options...)
}

// process is a process that a test has started.
type process struct {
	cmd    *exec.Cmd
	errors log
	served chan error
}

// killed is wait for a process that is to end by SIGKILL.
func (p *process) killed(w *world) {
	<-p.served // it may have been in the middle of a word
	var exit *exec.ExitError
	require.ErrorAs(w, p.cmd.Wait(), &exit, "it should have been killed")
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(w, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "%s: %s", exit, &p.errors)
}

// spawn starts a process that works on the world's database and tells the counter.
func (w *world) spawn(job work, counter exercise.Counter) *process {
	return w.spawnOn(w.d, job, counter)
}

// spawnOn is spawn on another node of the world's database.
func (w *world) spawnOn(d testdb.Database, job work, counter exercise.Counter) *process {
	job.DSN, job.Driver = d.DSN, d.Driver
	text, err := json.Marshal(job)
	require.NoError(w, err)
	program, err := os.Executable()
	require.NoError(w, err)
	cmd := exec.CommandContext(w.ctx, cmp.Or(job.program, program))
	cmd.Env = append(os.Environ(), workVariable+"="+string(text))
	return w.launch(cmd, counter)
}

// launch starts a process that tells the counter.
func (w *world) launch(cmd *exec.Cmd, counter exercise.Counter) *process {
	p := &process{cmd: cmd, served: make(chan error, 1)}
	p.cmd.Stderr = &p.errors
	out, err := p.cmd.StdoutPipe()
	require.NoError(w, err)
	in, err := p.cmd.StdinPipe()
	require.NoError(w, err)
	require.NoError(w, p.cmd.Start())
	go func() { p.served <- exercise.Serve(counter, out, in) }()
	return p
}

// wait waits until the process has ended, and returns what it had to complain of.
func (p *process) wait() error {
	served := <-p.served
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, p.errors.String())
	}
	return served
}

// workTime is the longest time that a run takes.
const workTime = 3 * time.Millisecond

// rounds is how often an exercise is repeated: USHER_TEST_ROUNDS, or what the test thinks enough.
func rounds(enough int) int {
	if n, err := strconv.Atoi(os.Getenv("USHER_TEST_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return enough
}
