package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"

	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
)

// alive is the condition that a row is that of a living scheduler of usher.
const alive = "job_type = '" + models.UsherScheduler + "' AND state = 'running'"

// Register makes this Repo a scheduler: a row in job, whose id is stamped on the runs that it
// admits from then on (scheduled_by_job_id). It must [Repo.Beat] from time to time, and
// [Repo.Leave] in the end; otherwise its runs are given to others by [Repo.Recover].
// Registering again begins a new identity, which has none of the runs of the old one.
func (r *Repo) Register(ctx context.Context) (models.Job, error) {
	ctx, verb := r.begin(ctx, "register")
	if err := r.apart(); err != nil {
		return models.Job{}, verb.end(err)
	}
	now, err := locking.InTx(ctx, r.db, r.read)
	if err != nil {
		return models.Job{}, verb.end(err)
	}
	job, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (models.Job, error) {
		job := models.Job{
			State: models.Running, JobType: models.UsherScheduler, StartDate: now, LatestHeartbeat: now,
			Hostname: hostname(), Unixname: unixname(),
		}
		return job, tx.Create(&job).Error
	})
	if err == nil {
		r.job.Store(&job.ID)
	}
	return job, verb.end(err)
}

// hostname is the machine's, empty when it has none.
func hostname() string {
	name, _ := os.Hostname()
	return name
}

// unixname is that of the user who runs the program, empty when it has none.
func unixname() string {
	if who, err := user.Current(); err == nil {
		return who.Username
	}
	return ""
}

// Beat says that the scheduler lives. It returns [ErrDead] when others took it for dead
// meanwhile, or it has left; what it has in hand is no longer its own then. It returns
// [ErrInvalid] when it is none: neither [Repo.Register] nor [WithJob] has given it a job.
func (r *Repo) Beat(ctx context.Context) error {
	ctx, verb := r.begin(ctx, "beat")
	if err := r.apart(); err != nil {
		return verb.end(err)
	}
	now, _, err := r.now(ctx)
	if err == nil {
		err = r.changeJob(ctx, map[string]any{"latest_heartbeat": now})
	}
	return verb.end(err)
}

// Leave ends the scheduler: state success. Runs that are still running in its name are for
// others to recover, so finish them or give them back first ([Repo.GiveBack]), and admit none
// afterwards. It returns [ErrDead] or [ErrInvalid], as [Repo.Beat] does.
func (r *Repo) Leave(ctx context.Context) error {
	ctx, verb := r.begin(ctx, "leave")
	if err := r.apart(); err != nil {
		return verb.end(err)
	}
	now, _, err := r.now(ctx)
	if err == nil {
		err = r.changeJob(ctx, map[string]any{"state": models.Success, "end_date": now})
	}
	return verb.end(err)
}

// changeJob changes the row of this scheduler, as long as it is alive.
func (r *Repo) changeJob(ctx context.Context, columns map[string]any) error {
	id, err := r.identity()
	if err != nil {
		return err
	}
	_, err = locking.InTx(ctx, r.db, func(tx *gorm.DB) (struct{}, error) {
		changed := tx.Model(&models.Job{}).Where("id = ? AND "+alive, id).UpdateColumns(columns)
		if changed.Error != nil || changed.RowsAffected == 1 {
			return struct{}{}, changed.Error
		}
		// Some engines do not count a row whose values are what they were.
		var same models.Job
		err := tx.Where("id = ? AND "+alive, id).Take(&same).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			err = fmt.Errorf("%w (it was job %d)", ErrDead, id)
		}
		return struct{}{}, err
	})
	return err
}

// identity is the id under which this Repo admits.
func (r *Repo) identity() (int64, error) {
	id := r.job.Load()
	if id == nil {
		return 0, fmt.Errorf("%w: this Repo is no scheduler: call Register first, or make it with WithJob", ErrInvalid)
	}
	return *id, nil
}

// Mine returns the runs that are running in this scheduler's name, by id. Those among them
// that the caller does not have in hand were admitted and never handed to it: the program was
// restarted, or the answer to COMMIT was lost ([locking.ErrCommitUnknown]). Do not call it
// while an [Repo.Admit] of the same scheduler is going on, whose runs would be among them. It
// returns [ErrInvalid] when this is no scheduler, as [Repo.Beat] does.
func (r *Repo) Mine(ctx context.Context) ([]models.DagRun, error) {
	id, err := r.identity()
	if err != nil {
		return nil, fmt.Errorf("list own runs: %w", err)
	}
	runs, err := locking.InTx(ctx, r.db, func(tx *gorm.DB) (runs []models.DagRun, err error) { // no replica, which may lag behind
		return runs, tx.Raw(r.sql("SELECT {r.*} FROM {dag_run} r{by index} WHERE r.state = 'running' AND r.scheduled_by_job_id = ? ORDER BY r.id"), id).Scan(&runs).Error
	})
	return runs, r.explain("list own runs", err)
}
