package repo

import (
	"math/rand/v2"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/locking"
)

// slots is how many runs the gates may start.
func slots(open []openGate) (n int) {
	for _, g := range open {
		n += g.Slots
	}
	return n
}

// share cuts the gates' slots to a total that one pass may start, evenly: what a small gate
// leaves goes to the larger ones.
//
// Where there are more gates than runs to start, chance decides which have to wait.
func share(open []openGate, total int) []openGate {
	rand.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	open = open[:min(len(open), total)]
	slices.SortStableFunc(open, func(a, b openGate) int { return a.Slots - b.Slots })
	for i := range open {
		left := len(open) - i
		open[i].Slots = min(open[i].Slots, (total+left-1)/left)
		total -= open[i].Slots
	}
	return open
}

// pad repeats the last value until there are 1, 2, 4, 8, … of them, so that statements come in
// few sizes and are prepared once.
func pad[T any](values []T) []T {
	values = slices.Clone(values)
	for len(values)&(len(values)-1) != 0 {
		values = append(values, values[len(values)-1])
	}
	return values
}

// withIDs is the condition that a row is one of these, which are to be found by their key.
func withIDs(tx *gorm.DB, ids []int64) clause.Expr {
	return dialect.Among(locking.Found(tx), clause.Column{Name: "id"}, schema.Int, pad(ids))
}
