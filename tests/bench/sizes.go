package main

import (
	"maps"
	"slices"
)

// size says how much data the workloads have, and how often each thing is measured.
type size struct {
	deep  []data // the deep queue, a tenth, a hundredth, and the queue with a short history
	turns int
	slow  int // turns of what takes seconds

	idle, steady, wide, narrow int     // DAGs; full gates; gates; runs of one gate
	runs                       int     // under limits
	passes                     int     // of one process
	seconds                    float64 // of contention, for each number of processes
}

// deepData is a queue in which every pass finds the same work, whatever its depth.
func deepData(name string, dags, waiting, perDag, backfills, perBackfill, finished int) data {
	return data{name, dags, waiting, perDag, backfills, perBackfill, finished, 1, 4}
}

var sizes = map[string]size{
	"small": {
		deep: []data{
			deepData("deep_s", 1000, 200, 25, 100, 100, 20_000), deepData("tenth_s", 1000, 200, 2, 100, 10, 2000),
			deepData("hundredth_s", 1000, 100, 1, 100, 4, 1000), deepData("short_s", 1000, 200, 25, 100, 100, 1000),
		},
		turns: 10, slow: 3, idle: 1000, steady: 200, wide: 2000, narrow: 5000, runs: 4000, passes: 1000, seconds: 0.3,
	},
	"medium": {
		deep: []data{
			deepData("deep_m", 10_000, 2000, 25, 1000, 50, 300_000), deepData("tenth_m", 10_000, 2000, 3, 1000, 5, 30_000),
			deepData("hundredth_m", 10_000, 500, 1, 1000, 4, 10_000), deepData("short_m", 10_000, 2000, 25, 1000, 50, 30_000),
		},
		turns: 15, slow: 3, idle: 10_000, steady: 3000, wide: 10_000, narrow: 20_000, runs: 20_000, passes: 10_000, seconds: 1.5,
	},
	"full": {
		deep: []data{
			deepData("deep", 10_000, 2000, 25, 1000, 500, 3_000_000), deepData("tenth", 10_000, 2000, 3, 1000, 50, 300_000),
			deepData("hundredth", 10_000, 500, 1, 1000, 5, 30_000), deepData("short", 10_000, 2000, 25, 1000, 500, 30_000),
		},
		turns: 25, slow: 3, idle: 10_000, steady: 3000, wide: 20_000, narrow: 100_000, runs: 100_000, passes: 100_000, seconds: 3,
	},
}

func sizeNames() []string { return slices.Sorted(maps.Keys(sizes)) }
