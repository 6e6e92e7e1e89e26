package main

import (
	"slices"
	"time"
)

// times are how long something took, each time.
type times []time.Duration

// took adds the time that do takes.
func (t *times) took(do func() error) error {
	began := time.Now()
	err := do()
	*t = append(*t, time.Since(began))
	return err
}

func (t times) median() time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[len(sorted)/2]
}

func (t times) milliseconds() float64 { return float64(t.median().Microseconds()) / 1000 }

// over is the median of t divided, turn by turn, by what was measured beside it.
func (t times) over(other times) float64 {
	var ratios []float64
	for i := range min(len(t), len(other)) {
		ratios = append(ratios, float64(t[i])/float64(other[i]))
	}
	return median(ratios, func(ratio float64) float64 { return ratio })
}

// median is that of what is measured of each.
func median[T any](of []T, measure func(T) float64) float64 {
	var values []float64
	for _, each := range of {
		values = append(values, measure(each))
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0
	}
	return values[len(values)/2]
}
