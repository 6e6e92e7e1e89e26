package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/repo"
)

// worker is what a scheduler process is to do, and what it has done.
type worker struct {
	Engine, DSN  string
	Seconds      float64
	Runs, Passes int
	Empty, Lost  int // passes that started nothing; those that lost every attempt
}

const (
	workerVariable = "USHER_BENCH_WORKER"
	ready          = "ready"
)

// work is the life of a scheduler process: it says that it is ready, waits for the end of its input,
// admits for a while, and pauses at random after a pass that started nothing.
func work(text string) error {
	var w worker
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return err
	}
	i := slices.IndexFunc(engines, func(e engine) bool { return e.name == w.Engine })
	d, err := engines[i].connect(w.DSN)
	if err != nil {
		return err
	}
	defer d.close()
	r, err := repo.New(d.db)
	if err != nil {
		return err
	}
	if _, err := locking.Server(context.Background(), d.db); err != nil {
		return err
	}
	fmt.Println(ready)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	for end := time.Now().Add(time.Duration(w.Seconds * float64(time.Second))); time.Now().Before(end); {
		runs, err := r.Admit(context.Background())
		if err != nil && !errors.Is(err, locking.ErrContention) {
			return err
		}
		w.Passes++
		w.Runs += len(runs)
		if err != nil {
			w.Lost++
		} else if len(runs) == 0 {
			w.Empty++
			time.Sleep(rand.N(10 * time.Millisecond))
		}
	}
	return json.NewEncoder(os.Stdout).Encode(w)
}

// crowds are how many scheduler processes compete.
var crowds = []int{1, 2, 4, 8, 16}

// contention measures scheduler processes on the deep queue, each number in turn, several times.
func contention(b *bench) error {
	want := b.size.deep[0]
	want.name, want.backfillLimit, want.limit, want.finished = "contention"+want.name, 1000, 1000, want.dags
	d, done, err := b.open(want)
	if err != nil {
		return err
	}
	defer done()
	rounds := map[int][]worker{} // by the number of processes
	for range b.size.slow {
		for _, processes := range crowds {
			all, err := b.race(d, processes)
			if err == nil {
				err = errors.Join(d.requeueAll(b.ctx), d.settle(b.ctx, want))
			}
			if err != nil {
				return err
			}
			rounds[processes] = append(rounds[processes], all)
		}
	}
	for _, processes := range crowds {
		b.add("contention", fmt.Sprintf("%d scheduler processes", processes), median(rounds[processes], worker.rate), "runs/s", "")
	}
	b.add("contention", "8 processes over one", median(rounds[8], worker.rate)/median(rounds[1], worker.rate), "ratio", "≥ 1")
	b.add("contention", "empty passes among those of 8 processes", median(rounds[8], func(w worker) float64 { return float64(w.Empty) / float64(w.Passes) }), "ratio", "< 0.1")
	b.add("contention", "passes of 8 processes that lost every attempt", median(rounds[8], func(w worker) float64 { return float64(w.Lost) }), "passes", "0")
	return nil
}

// rate is the runs admitted per second.
func (w worker) rate() float64 { return float64(w.Runs) / w.Seconds }

// race adds up what so many processes do from the moment at which all of them are ready.
func (b *bench) race(d *database, processes int) (all worker, err error) {
	text, err := json.Marshal(worker{Engine: d.name, DSN: d.DSN, Seconds: b.size.seconds})
	if err != nil {
		return all, err
	}
	program, err := os.Executable()
	if err != nil {
		return all, err
	}
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	var crowd []*scheduler
	for range processes {
		s := &scheduler{Cmd: exec.CommandContext(ctx, program)}
		s.Env, s.Stderr = append(os.Environ(), workerVariable+"="+string(text)), os.Stderr
		if err := s.begin(); err != nil {
			return all, err
		}
		crowd = append(crowd, s)
	}
	for _, s := range crowd {
		if said, err := s.said.ReadString('\n'); said != ready+"\n" {
			return all, fmt.Errorf("a scheduler process said %q: %v", said, err)
		}
	}
	for _, s := range crowd {
		err = errors.Join(err, s.start.Close())
	}
	for _, s := range crowd {
		var a worker
		err = errors.Join(err, json.NewDecoder(s.said).Decode(&a), s.Wait())
		all.Runs, all.Passes, all.Empty, all.Lost, all.Seconds = all.Runs+a.Runs, all.Passes+a.Passes, all.Empty+a.Empty, all.Lost+a.Lost, a.Seconds
	}
	return all, err
}

// scheduler is a process that works.
type scheduler struct {
	*exec.Cmd
	start io.Closer // close it to have it start
	said  *bufio.Reader
}

func (s *scheduler) begin() error {
	in, err := s.StdinPipe()
	if err != nil {
		return err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return err
	}
	s.start, s.said = in, bufio.NewReader(out)
	return s.Start()
}

// memory measures what a scheduler process holds before and after many passes.
func memory(b *bench) error {
	d, r, done, err := b.openFor(data{name: "memory", dags: 100, waiting: 100, perDag: 2, finished: 100, limit: 1})
	if err != nil {
		return err
	}
	defer done()
	held := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := 0.0
	for i := range b.size.passes {
		if i == b.size.passes/10 {
			before = held()
		}
		runs, err := r.Admit(b.ctx)
		if err == nil && i%100 == 0 {
			err = d.requeue(b.ctx, runs)
		}
		if err != nil {
			return err
		}
	}
	b.add("memory", fmt.Sprintf("growth of the heap over %d passes", b.size.passes), held()-before, "MB", "≤ 20")
	return nil
}
