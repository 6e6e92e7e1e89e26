package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/repo"
)

// bench is one run of the benchmarks on one engine.
type bench struct {
	ctx    context.Context
	engine engine
	size   size
	folder string // of SQLite's files
	keep   bool
	cache  int // MB, or 0 for what it has
	report *report
}

// A workload loads its data, measures, and adds figures to the report.
type workload struct {
	name string
	run  func(*bench) error
}

var workloads = []workload{
	{"deep", deep},
	{"anatomy", anatomy},
	{"idle", idle},
	{"steady", steady},
	{"wide", wide},
	{"contention", contention},
	{"limits", gates},
	{"memory", memory},
}

func main() {
	do := run
	if text := os.Getenv(workerVariable); text != "" {
		do = func() error { return work(text) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	name := flag.String("size", "small", "how much data: "+strings.Join(sizeNames(), ", "))
	only := flag.String("engines", "", "measure on these alone, separated by commas: postgres, mysql, mariadb, sqlite-mattn, sqlite-modernc")
	which := flag.String("workloads", "", "run these alone, separated by commas")
	out := flag.String("out", "", "write NAME.md and NAME.json there")
	folder := flag.String("folder", os.TempDir(), "where SQLite's files are made")
	keep := flag.Bool("keep", false, "leave the databases, and use those that an earlier run has left")
	cache := flag.Int("cache", 0, "MB that MySQL and MariaDB, and a connection to SQLite, are given for pages; 0 for what they have")
	profile := flag.String("cpuprofile", "", "write a profile of the client there")
	flag.Parse()
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	size, ok := sizes[*name]
	if !ok {
		return fmt.Errorf("no size %q: use one of %s", *name, strings.Join(sizeNames(), ", "))
	}
	r := newReport(*name)
	if *cache > 0 {
		r.Machine["cache"] = fmt.Sprintf("%d MB", *cache)
	}
	for _, e := range engines {
		if !among(*only, e.name) {
			continue
		}
		b := &bench{ctx, e, size, *folder, *keep, *cache, r}
		for _, w := range workloads {
			if !among(*which, w.name) {
				continue
			}
			if err := w.run(b); err != nil {
				return fmt.Errorf("%s on %s: %w", w.name, e.label, err)
			}
		}
	}
	if *out == "" {
		fmt.Print(r.markdown())
		return nil
	}
	return r.write(*out)
}

func among(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// open makes a database with the data. Call the function it returns when it is done with.
func (b *bench) open(want data) (*database, func(), error) {
	d, err := b.engine.open(b.ctx, want.name, b.folder)
	if err != nil {
		return nil, nil, err
	}
	server, err := locking.Server(b.ctx, d.db)
	if err != nil {
		return nil, nil, err
	}
	if err := d.giveCache(b.ctx, b.cache); err != nil {
		return nil, nil, err
	}
	b.report.Engines[b.engine.label] = server.Banner
	fmt.Fprintf(os.Stderr, "loading %s on %s\n", want.name, b.engine.label)
	if err := d.load(b.ctx, want); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("load %s: %w", want.name, err), d.drop())
	}
	return d, func() {
		if b.keep {
			d.close()
		} else if err := d.drop(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}, nil
}

// openFor is open, with a scheduler for the database.
func (b *bench) openFor(want data) (*database, *repo.Repo, func(), error) {
	d, done, err := b.open(want)
	if err != nil {
		return nil, nil, nil, err
	}
	r, err := repo.New(d.db)
	if err != nil {
		done()
		return nil, nil, nil, err
	}
	return d, r, done, nil
}

func (b *bench) add(workload, name string, value float64, unit, target string) {
	b.report.add(figure{workload, name, b.engine.label, value, unit, target})
}
