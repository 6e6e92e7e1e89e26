package tests

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
)

// onSmallDisk puts a file of SQLite on a disk of its own in memory: of 512 MB, more than the runs of ten minutes need.
func onSmallDisk(t *testing.T, d testdb.Database) (testdb.Database, string) {
	disk := t.TempDir()
	asRoot(t, "mount", "-t", "tmpfs", "-o", "size=512m,mode=777", "tmpfs", disk)
	t.Cleanup(func() { asRoot(t, "umount", "-l", disk) })
	d.DSN = "sqlite:" + filepath.Join(disk, "usher.db")
	return d, disk
}

func asRoot(t testing.TB, command ...string) {
	if os.Getuid() != 0 {
		command = append([]string{"sudo", "-n"}, command...)
	}
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	require.NoError(t, err, "%v: %s", command, out)
}

// full is the disk full: a file takes what is left of it, until a write of ours has failed and
// for a while longer.
func full(disk string) fault {
	return fault{"disk full", func(c *crew) {
		filler := filepath.Join(disk, "filler")
		f, err := os.Create(filler)
		require.NoError(c, err)
		block := make([]byte, 4096)
		for err == nil {
			_, err = f.Write(block)
		}
		require.NoError(c, f.Close())
		c.until("a write fails", func() bool {
			// It is larger than the pages that the file and its log have freed meanwhile.
			err := c.db.WithContext(c.ctx).Exec(`UPDATE dag_run SET conf = '"' || hex(zeroblob(?)) || '"' WHERE id = (SELECT MAX(id) FROM dag_run)`, 1<<25).Error
			return dialect.Classify(c.db.Dialector, err) == dialect.Full
		})
		wait(c.ctx, 200*time.Millisecond)
		require.NoError(c, os.Remove(filler))
		c.until("what it has written is gone", func() bool { // or the database is what fills the disk in the end
			return c.db.WithContext(c.ctx).Model(&models.DagRun{}).Where("LENGTH(conf) > 1000").UpdateColumn("conf", nil).Error == nil
		})
	}}
}

// fullDisk is for engines that can be told how much room there is.
var fullDisk = []testCase{
	{"a runner goes on once a full disk has room again", func(w *world) {
		w.dag("d", 1)
		w.queue("d", 1, past, 0)
		db := w.oneConnection()
		var pages int
		require.NoError(w, db.Raw("PRAGMA page_count").Scan(&pages).Error)
		require.NoError(w, db.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Error)
		big := models.DagRun{DagID: "d", RunID: "big", RunAfter: models.At(past), Conf: models.JSON(`"` + strings.Repeat("x", 1<<18) + `"`)}
		handled := make(chan struct{})
		r, err := repo.New(db)
		require.NoError(w, err)
		_, err = r.Enqueue(w.ctx, big)
		require.ErrorContains(w, err, "full")
		require.True(w, r.Transient(err))
		w.fill(db)
		s := w.start(db, func(context.Context, models.DagRun) error {
			close(handled)
			return nil
		})
		w.until("the runner is told that the disk is full", func() bool { return strings.Contains(s.log.String(), "full") })
		require.NoError(w, db.Exec("PRAGMA max_page_count = 1000000").Error)
		<-handled
		s.stopped()
	}},
}

// fill writes schedulers that have left until there is no room for another, however small.
func (w *world) fill(db *gorm.DB) {
	for _, name := range []string{strings.Repeat("x", 400), "x"} {
		var full error
		for full == nil {
			full = db.Create(&models.Job{State: models.Success, JobType: models.UsherScheduler, Hostname: name}).Error
		}
		require.ErrorContains(w, full, "full")
	}
}
