package repo

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/usher-go/usher/models"
)

// maxID is the length of an id in characters, as its column has it.
const maxID = 250

// checkID refuses an id that some engine could not store, or would store differently.
func checkID(what, id string) error {
	if id == "" {
		return fmt.Errorf("%w %s: it is empty", ErrInvalid, what)
	}
	return checkText(what, id, maxID)
}

// checkText refuses text, other than an id, that some engine could not store in a column of so
// many characters.
func checkText(what, text string, most int) error {
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		return fmt.Errorf("%w %s %q: it is not UTF-8", ErrInvalid, what, text)
	case n > most:
		return fmt.Errorf("%w %s: it has %d characters, and %d is the most", ErrInvalid, what, n, most)
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("%w %s %q: it contains NUL", ErrInvalid, what, text)
	}
	return nil
}

// maxLimit is the largest limit of a gate: the largest value of its column.
const maxLimit = 1<<31 - 1

// checkLimit refuses a limit that is no number of runs.
func checkLimit(n int) error {
	if n < 0 || n > maxLimit {
		return fmt.Errorf("%w limit %d: max_active_runs is a number of runs from 0 (none may start) to %d", ErrInvalid, n, maxLimit)
	}
	return nil
}

// checkState refuses a state that is not one of those wanted.
func checkState(state models.State, wanted ...models.State) error {
	names := make([]string, len(wanted))
	for i, want := range wanted {
		if state == want {
			return nil
		}
		names[i] = string(want)
	}
	return fmt.Errorf("%w state %q: use %s", ErrInvalid, state, strings.Join(names, " or "))
}
