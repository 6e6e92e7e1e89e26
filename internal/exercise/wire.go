package exercise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/usher-go/usher/models"
)

// note is what a scheduler process tells the process that counts.
type note struct {
	Up  bool
	Run models.DagRun
}

// Remote is the [Counter] of a scheduler in a process of its own: it tells the process at the
// other end, which runs [Serve]. Down waits for the answer, so that what another process
// starts afterwards is counted afterwards.
type Remote struct {
	mu     sync.Mutex
	notes  *json.Encoder
	answer *json.Decoder
}

// NewRemote writes notes to out and reads the answers from in.
func NewRemote(out io.Writer, in io.Reader) *Remote {
	return &Remote{notes: json.NewEncoder(out), answer: json.NewDecoder(in)}
}

// Up implements [Counter].
func (r *Remote) Up(run models.DagRun) error { return r.tell(note{true, run}) }

// Down implements [Counter].
func (r *Remote) Down(run models.DagRun) error { return r.tell(note{false, run}) }

func (r *Remote) tell(n note) error {
	n.Run.Conf = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.notes.Encode(n); err != nil {
		return fmt.Errorf("tell the counting process: %w", err)
	}
	var counted bool
	if err := r.answer.Decode(&counted); err != nil || !counted {
		return fmt.Errorf("no answer from the counting process: %w", err)
	}
	return nil
}

// Serve counts what a process tells until it hangs up.
func Serve(counter Counter, in io.Reader, out io.Writer) error {
	notes, answer := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var n note
		if err := notes.Decode(&n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a scheduler's note: %w", err)
		}
		count := counter.Down
		if n.Up {
			count = counter.Up
		}
		if err := count(n.Run); err != nil {
			return err
		}
		if err := answer.Encode(true); err != nil {
			return fmt.Errorf("answer a scheduler: %w", err)
		}
	}
}
