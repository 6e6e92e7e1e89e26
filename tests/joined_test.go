package tests

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// errOwn is the application's reason to roll back.
var errOwn = errors.New("the application's own")

// joined runs do in a transaction of the application's that usher has joined.
func (w *world) joined(db *gorm.DB, do func(tx *gorm.DB, in *repo.Repo) error) error {
	return db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) error {
		in, err := w.r.WithTx(tx)
		if err != nil {
			return err
		}
		return do(tx, in)
	})
}

// office is a database in which every verb has something to do.
type office struct {
	running, failed models.DagRun
	active, ended   int64
}

func (w *world) office() (o office) {
	w.dag("d", 3)
	w.dag("busy", 2)
	w.queue("busy", 1, past, 0)
	started, err := w.r.Admit(w.ctx)
	require.NoError(w, err)
	require.Len(w, started, 1)
	o.running = started[0]
	w.queue("busy", 4, past.Add(time.Minute), time.Minute)
	o.failed = w.exists("d", 20, models.Failed)
	b, dates := w.create(daily(w, 1, 3))
	o.ended = b.ID
	_, err = w.r.CancelBackfill(w.ctx, b.ID)
	require.NoError(w, err)
	require.NotEmpty(w, dates)
	w.dag("other", 1)
	q := daily(w, 1, 3)
	q.DagID = "other"
	b, _ = w.create(q)
	o.active = b.ID
	return o
}

// A verb works in the application's transaction.
type verb struct {
	name string
	call func(w *world, in *repo.Repo, o office) error
}

// joining are the verbs that change something, each by the name of its method.
var joining = []verb{
	{"Enqueue", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: "new"})
		return err
	}},
	{"Admit", func(w *world, in *repo.Repo, _ office) error {
		runs, err := in.Admit(w.ctx)
		require.NotEmpty(w, runs)
		return err
	}},
	{"AdmitAtMost", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.AdmitAtMost(w.ctx, 4)
		return err
	}},
	{"AdmitAll", func(w *world, in *repo.Repo, _ office) error {
		for _, err := range in.AdmitAll(w.ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	}},
	{"Finish", func(w *world, in *repo.Repo, o office) error { return in.Finish(w.ctx, o.running, models.Success) }},
	{"FinishAll", func(w *world, in *repo.Repo, o office) error {
		err := in.FinishAll(w.ctx, []models.DagRun{o.failed, o.running}, models.Success)
		require.ErrorIs(w, err, repo.ErrState, "of one, which keeps the other from nothing")
		return nil
	}},
	{"Clear", func(w *world, in *repo.Repo, o office) error {
		_, err := in.Clear(w.ctx, o.failed)
		return err
	}},
	{"ClearRuns", func(w *world, in *repo.Repo, o office) error {
		_, err := in.ClearRuns(w.ctx, repo.ClearQuery{DagID: "d"})
		return err
	}},
	{"GiveBack", func(w *world, in *repo.Repo, o office) error {
		_, err := in.GiveBack(w.ctx, o.running)
		return err
	}},
	{"SetState", func(w *world, in *repo.Repo, o office) error {
		_, err := in.SetState(w.ctx, o.failed, models.Running)
		return err
	}},
	{"SetDag", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.SetDag(w.ctx, "new", repo.MaxActiveRuns(4))
		if err == nil {
			_, err = in.SetDag(w.ctx, "other", repo.Paused(true))
		}
		return err
	}},
	{"CreateBackfill", func(w *world, in *repo.Repo, _ office) error {
		_, _, err := in.CreateBackfill(w.ctx, daily(w, 4, 9))
		return err
	}},
	{"ResumeBackfill", func(w *world, in *repo.Repo, o office) error {
		_, _, err := in.ResumeBackfill(w.ctx, o.ended)
		return err
	}},
	{"PauseBackfill", func(w *world, in *repo.Repo, o office) error {
		_, err := in.PauseBackfill(w.ctx, o.active)
		return err
	}},
	{"UnpauseBackfill", func(w *world, in *repo.Repo, o office) error {
		_, err := in.LimitBackfill(w.ctx, o.active, 7)
		require.NoError(w, err)
		_, err = in.UnpauseBackfill(w.ctx, o.active)
		return err
	}},
	{"LimitBackfill", func(w *world, in *repo.Repo, o office) error {
		_, err := in.LimitBackfill(w.ctx, o.active, 7)
		return err
	}},
	{"CancelBackfill", func(w *world, in *repo.Repo, o office) error {
		_, err := in.CancelBackfill(w.ctx, o.active)
		return err
	}},
}

// apart are the verbs that need transactions of their own.
var apart = []verb{
	{"Register", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Register(w.ctx)
		return err
	}},
	{"Beat", func(w *world, in *repo.Repo, _ office) error { return in.Beat(w.ctx) }},
	{"Leave", func(w *world, in *repo.Repo, _ office) error { return in.Leave(w.ctx) }},
	{"Recover", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Recover(w.ctx, time.Hour, models.Queued)
		return err
	}},
	{"CompleteBackfills", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.CompleteBackfills(w.ctx)
		return err
	}},
	{"Migrate", func(w *world, in *repo.Repo, _ office) error { return in.Migrate(w.ctx) }},
	{"Audit", func(w *world, in *repo.Repo, _ office) (err error) {
		for _, err = range in.Audit(w.ctx, "") {
		}
		return err
	}},
}

// reading are the verbs that change nothing.
var reading = []verb{
	{"Dag", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Dag(w.ctx, "d")
		return err
	}},
	{"Dags", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Dags(w.ctx)
		return err
	}},
	{"Run", func(w *world, in *repo.Repo, o office) error {
		_, err := in.Run(w.ctx, "busy", o.running.RunID)
		return err
	}},
	{"Runs", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Runs(w.ctx, repo.RunQuery{})
		return err
	}},
	{"Backfill", func(w *world, in *repo.Repo, o office) error {
		_, err := in.Backfill(w.ctx, o.active)
		return err
	}},
	{"Backfills", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Backfills(w.ctx, "", true)
		return err
	}},
	{"BackfillDates", func(w *world, in *repo.Repo, o office) error {
		_, err := in.BackfillDates(w.ctx, o.active)
		return err
	}},
	{"DryRunBackfill", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.DryRunBackfill(w.ctx, daily(w, 4, 9))
		return err
	}},
	{"Status", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Status(w.ctx)
		return err
	}},
	{"Jobs", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Jobs(w.ctx, true)
		return err
	}},
	{"Mine", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Mine(w.ctx)
		return err
	}},
	{"Missing", func(w *world, in *repo.Repo, _ office) error {
		_, err := in.Missing(w.ctx)
		return err
	}},
	{"Why", func(w *world, in *repo.Repo, _ office) error {
		waiting, err := in.Runs(w.ctx, repo.RunQuery{DagID: "busy", State: models.Queued, Limit: 1})
		require.NoError(w, err)
		e, err := in.Why(w.ctx, "busy", waiting[0].RunID)
		for _, reason := range e.Reasons {
			require.NotEqual(w, repo.GateHeld, reason.Kind, "it is this transaction, if any")
		}
		return err
	}},
}

// everyVerb sees that each method of a Repo is in one of the lists.
func everyVerb(w *world) {
	known := []string{"WithTx", "Transient"}
	for _, list := range [][]verb{joining, apart, reading} {
		for _, v := range list {
			known = append(known, v.name)
		}
	}
	var methods []string
	for i := range reflect.TypeFor[*repo.Repo]().NumMethod() {
		methods = append(methods, reflect.TypeFor[*repo.Repo]().Method(i).Name)
	}
	require.ElementsMatch(w, known, methods, "say what a verb does in the application's transaction")
}

// note is a row of the application's own.
type note struct {
	ID   int64
	Text string
}

func (w *world) notes() (n int) {
	var all int64
	require.NoError(w, w.db.Model(&note{}).Count(&all).Error)
	return int(all)
}

// withTheCaller: a verb's changes are there when the application has committed, and only then.
func withTheCaller(w *world) {
	everyVerb(w)
	require.NoError(w, w.db.AutoMigrate(&note{}))
	for _, v := range joining {
		require.NoError(w, w.db.Where("1 = 1").Delete(&models.DagRun{}).Error)
		require.NoError(w, w.db.Where("1 = 1").Delete(&models.BackfillDagRun{}).Error)
		require.NoError(w, w.db.Where("1 = 1").Delete(&models.Backfill{}).Error)
		require.NoError(w, w.db.Where("1 = 1").Delete(&models.Dag{}).Error)
		o := w.office()
		before, notes := w.everything(), w.notes()
		one := w.oneConnection() // what is done elsewhere would wait for ever
		work := func(end error) error {
			return w.joined(one, func(tx *gorm.DB, in *repo.Repo) error {
				require.NoError(w, tx.Create(&note{Text: v.name}).Error)
				require.NoError(w, v.call(w, in, o), v.name)
				require.NoError(w, tx.Create(&note{Text: v.name}).Error)
				return end
			})
		}
		require.ErrorIs(w, work(errOwn), errOwn)
		require.Equal(w, before, w.everything(), v.name)
		require.Equal(w, notes, w.notes())
		require.NoError(w, work(nil))
		require.NotEqual(w, before, w.everything(), v.name)
		require.Equal(w, notes+2, w.notes())
		require.LessOrEqual(w, w.count(dagGate("busy"), models.Running), 2)
	}
}

// apartFromIt: what needs transactions of its own says so, and the transaction can go on.
func apartFromIt(w *world) {
	o := w.office()
	before := w.everything()
	require.NoError(w, w.joined(w.oneConnection(), func(_ *gorm.DB, in *repo.Repo) error {
		for _, v := range apart {
			require.ErrorIs(w, v.call(w, in, o), locking.ErrNested, v.name)
		}
		for _, v := range reading {
			err := v.call(w, in, o)
			if v.name == "Mine" {
				require.ErrorIs(w, err, repo.ErrInvalid, "it is no scheduler")
				continue
			}
			require.NoError(w, err, v.name)
		}
		require.Equal(w, before, w.everything())
		return in.Finish(w.ctx, o.running, models.Success)
	}))
	require.Equal(w, models.Success, w.run(o.running.ID).State)
}

// aMistake: a verb that is refused has changed nothing, and what is done before it and after it is kept.
func aMistake(w *world) {
	require.NoError(w, w.db.AutoMigrate(&note{}))
	o := w.office()
	w.set("busy", repo.MaxActiveRuns(1)) // it is full
	waiting, err := w.r.Runs(w.ctx, repo.RunQuery{DagID: "busy", State: models.Queued})
	require.NoError(w, err)
	active := daily(w, 7, 9)
	active.DagID = "other"
	mistakes := map[error]func(in *repo.Repo) error{
		repo.ErrExists: func(in *repo.Repo) error {
			runs := make([]models.DagRun, 1001) // in two statements, of which the second fails
			for i := range runs {
				runs[i] = models.DagRun{DagID: "d"}
			}
			runs[1000] = models.DagRun{DagID: "busy", RunID: o.running.RunID}
			_, err := in.Enqueue(w.ctx, runs...)
			return err
		},
		repo.ErrDagNotFound: func(in *repo.Repo) error {
			_, err := in.Enqueue(w.ctx, models.DagRun{DagID: "none"})
			return err
		},
		repo.ErrState: func(in *repo.Repo) error { return in.Finish(w.ctx, o.failed, models.Success) },
		repo.ErrFull: func(in *repo.Repo) error {
			_, err := in.SetState(w.ctx, waiting[0], models.Running)
			return err
		},
		repo.ErrBackfillActive: func(in *repo.Repo) error {
			_, _, err := in.CreateBackfill(w.ctx, active)
			return err
		},
		repo.ErrCompleted: func(in *repo.Repo) error {
			_, err := in.PauseBackfill(w.ctx, o.ended)
			return err
		},
	}
	for _, db := range []*gorm.DB{w.db, w.db.Session(&gorm.Session{PrepareStmt: true}), w.db.Session(&gorm.Session{SkipDefaultTransaction: true})} {
		for want, mistake := range mistakes {
			notes, runs := w.notes(), w.runs("1 = 1")
			require.NoError(w, w.joined(db, func(tx *gorm.DB, in *repo.Repo) error {
				require.NoError(w, tx.Create(&note{Text: "before"}).Error)
				require.ErrorIs(w, mistake(in), want)
				_, err := in.Enqueue(w.ctx, models.DagRun{DagID: "d"})
				require.NoError(w, err)
				require.ErrorIs(w, mistake(in), want)
				return tx.Create(&note{Text: "after"}).Error
			}))
			require.Equal(w, []int{notes + 2, runs + 1}, []int{w.notes(), w.runs("1 = 1")}, "%v", want)
		}
	}
}

// ownSavepoints: what the application goes back behind is undone, and no more.
func ownSavepoints(w *world) {
	w.dag("d", 2)
	runs := w.queue("d", 3, past, time.Minute)
	require.NoError(w, w.joined(w.db, func(tx *gorm.DB, in *repo.Repo) error {
		started, err := in.AdmitAtMost(w.ctx, 1)
		require.NoError(w, err)
		require.Len(w, started, 1)
		require.ErrorIs(w, tx.Transaction(func(inner *gorm.DB) error {
			deeper, err := w.r.WithTx(inner)
			require.NoError(w, err)
			started, err := deeper.Admit(w.ctx)
			require.NoError(w, err)
			require.Len(w, started, 1)
			return errOwn
		}), errOwn)
		require.NoError(w, tx.SavePoint("own").Error)
		require.NoError(w, in.Finish(w.ctx, started[0], models.Success))
		require.NoError(w, tx.RollbackTo("own").Error)
		_, err = in.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: "last"})
		return err
	}))
	require.Equal(w, models.Running, w.run(runs[0].ID).State)
	w.running(map[repo.Gate]int{dagGate("d"): 1})
	require.Equal(w, 3, w.count(dagGate("d"), models.Queued))
}

// inOne: what a transaction has queued and finished counts in it.
func inOne(w *world) {
	w.dag("d", 1)
	var handed []models.DagRun
	require.NoError(w, w.joined(w.db, func(_ *gorm.DB, in *repo.Repo) error {
		queued, err := in.Enqueue(w.ctx, models.DagRun{DagID: "d", RunID: "first"}, models.DagRun{DagID: "d", RunID: "second"})
		require.NoError(w, err)
		for _, want := range queued {
			started, err := in.Admit(w.ctx)
			require.NoError(w, err)
			require.Len(w, started, 1)
			require.Equal(w, want.RunID, started[0].RunID)
			none, err := in.Admit(w.ctx)
			require.NoError(w, err)
			require.Empty(w, none)
			handed = append(handed, started[0])
			if want.RunID == "first" {
				require.NoError(w, in.Finish(w.ctx, started[0], models.Success))
			}
		}
		return nil
	}))
	require.Equal(w, handed[1], w.run(handed[1].ID))
	w.running(map[repo.Gate]int{dagGate("d"): 1})
}

var joined = []testCase{
	{"in the caller's transaction: verbs are committed and rolled back with it", withTheCaller},
	{"in the caller's transaction: what needs its own is refused", apartFromIt},
	{"in the caller's transaction: a mistake leaves it usable", aMistake},
	{"in the caller's transaction: its own savepoints", ownSavepoints},
	{"in the caller's transaction: what it has queued starts in it", inOne},
	{"a pass that waits for the only connection does not keep the transaction that has it from its own", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 1, past, 0)
		db := w.d.Open(w)
		pool, err := db.DB()
		require.NoError(w, err)
		pool.SetMaxOpenConns(1)
		_, err = locking.Server(w.ctx, db)
		require.NoError(w, err)
		w.r, err = repo.New(db)
		require.NoError(w, err)
		ctx, stop := context.WithTimeout(w.ctx, time.Minute)
		defer stop()
		other := make(chan error, 1)
		require.NoError(w, w.joined(db, func(_ *gorm.DB, in *repo.Repo) error {
			go func() {
				_, err := w.r.Admit(ctx)
				other <- err
			}()
			require.Eventually(w, func() bool { return pool.Stats().WaitCount > 0 }, time.Minute, time.Millisecond)
			runs, err := in.Admit(ctx)
			require.Len(w, runs, 1)
			return err
		}))
		require.NoError(w, <-other)
	}},
	{"in the caller's transaction: which is none", func(w *world) {
		_, err := w.r.WithTx(w.db)
		require.ErrorIs(w, err, locking.ErrNoTransaction)
		require.ErrorIs(w, w.db.Transaction(func(tx *gorm.DB) error {
			tx.Plugins = nil // of this session's copy of the configuration
			_, err := w.r.WithTx(tx)
			return err
		}), locking.ErrNoPlugin)
		var late *repo.Repo
		require.NoError(w, w.joined(w.db, func(_ *gorm.DB, in *repo.Repo) error { late = in; return nil }))
		_, err = late.Admit(w.ctx)
		require.Error(w, err, "it has ended")
	}},
}
