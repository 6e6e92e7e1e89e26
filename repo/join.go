package repo

import (
	"fmt"
	"strconv"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// WithTx returns the repository for use inside tx, a transaction that the application has begun
// from the *gorm.DB that the repository was made with: what it does is committed or rolled back
// with what the application does there. Execute runs only once that is committed. The gates that
// it takes stay held until then, and other schedulers pass over them, so keep tx short. It is for
// one goroutine at a time, as tx is, and for nothing after tx has ended.
//
//	err := db.Transaction(func(tx *gorm.DB) error {
//		in, err := r.WithTx(tx)
//		if err != nil {
//			return err
//		}
//		if err := tx.Create(&order).Error; err != nil {
//			return err
//		}
//		_, err = in.Enqueue(ctx, models.DagRun{DagID: "bill", RunID: order.Number})
//		return err
//	})
//
// Nothing is tried again, since only the application can do that. Every verb sets a savepoint:
// one that returns an error has changed nothing, unless its own comment says otherwise, and tx can
// go on. Not so after [locking.ErrGone]: a deadlock, another conflict, or the loss of the connection has ended tx, and its statements
// fail from then on; roll it back and begin anew. [Repo.Transient] tells what may succeed then.
// [locking.InTx] begins transactions at READ COMMITTED and tries them again by itself.
//
// The limits hold at every isolation level. On PostgreSQL what takes a gate or a run needs READ
// COMMITTED, its default, and returns [locking.ErrSnapshot] at others; [Repo.Enqueue],
// [Repo.Finish] and [Repo.FinishAll] work at each. On MySQL and MariaDB, whose default is
// REPEATABLE READ, everything works at each, but a verb returns ErrSnapshot when others have
// changed what it depends on since the first query in tx: READ COMMITTED spares that. At
// SERIALIZABLE many passes at once deadlock there, and end with ErrGone. On SQLite WithTx makes
// tx the writer, so call it before anything is read in tx.
//
// [Repo.Register], [Repo.Beat], [Repo.Leave], [Repo.Recover], [Repo.CompleteBackfills],
// [Repo.Migrate] and [Repo.Audit] need transactions of their own, and return [locking.ErrNested].
//
// It returns [locking.ErrNoTransaction] for a *gorm.DB that is no transaction,
// [locking.ErrNoPlugin], [locking.ErrDryRun], [locking.ErrContention] when another writer did not
// end in time, or [locking.ErrGone].
func (r *Repo) WithTx(tx *gorm.DB) (*Repo, error) {
	if tx.DryRun {
		return nil, fmt.Errorf("join transaction: %w", locking.ErrDryRun)
	}
	joined, err := locking.Join(tx, &models.Dag{})
	if err != nil {
		return nil, r.explain("join transaction", err)
	}
	in := *r
	in.db = joined.Session(&gorm.Session{QueryFields: true})
	return &in, nil
}

// apart refuses what needs transactions of its own in one of the application's.
func (r *Repo) apart() error {
	if locking.Joined(r.db) {
		return locking.ErrNested
	}
	return nil
}

// occupied is a gate's limit, and one of the runs that run in it.
type occupied struct {
	Gate
	GateLimit int
}

// mustFit looks once more at the gates of runs that were started, where what a pass has read of
// them may be older than the hold, as a transaction of the application's has it: by a query that
// sees the latest. The runs must fit, or nothing starts.
func (r *Repo) mustFit(tx *gorm.DB, started []models.DagRun) error {
	if len(started) == 0 || !locking.MayBeStale(tx) {
		return nil
	}
	running, limit := map[Gate]int{}, map[Gate]int{}
	for _, k := range r.kinds {
		gates := k.of(gatesOf(started))
		if len(gates) == 0 {
			continue
		}
		var found []occupied
		err := tx.Table(r.sql(k.from+" JOIN {dag_run} r{by index} ON r.state = 'running' AND "+k.runs)).
			Select(r.sql(k.names+", "+k.limit+" AS gate_limit")).Where(k.column+" IN ? AND "+k.admits, k.keys(gates)).Scan(&found).Error
		if err != nil {
			return err
		}
		for _, run := range found {
			running[run.Gate]++
			limit[run.Gate] = run.GateLimit
		}
	}
	for _, g := range gatesOf(started) {
		if running[g] == 0 || running[g] > limit[g] {
			return fmt.Errorf("%w: in the gate of %s %s", locking.ErrSnapshot, g, whatOthersDid(running[g], limit[g]))
		}
	}
	return nil
}

// whatOthersDid says why runs do not fit, by the number of runs that would be running.
func whatOthersDid(running, limit int) string {
	if running == 0 {
		return "no run may start any more"
	}
	return strconv.Itoa(running) + " runs would be running, and " + strconv.Itoa(limit) + " may"
}
