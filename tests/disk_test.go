package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
)

// onSmallDisk puts a file of SQLite on a disk of its own, of 48 MB, in memory.
func onSmallDisk(t *testing.T, d testdb.Database) (testdb.Database, string) {
	disk := t.TempDir()
	asRoot(t, "mount", "-t", "tmpfs", "-o", "size=48m,mode=777", "tmpfs", disk)
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
			run := c.fresh(dagGate("a"))
			run.Conf = models.JSON(`"` + strings.Repeat("x", 1<<18) + `"`)
			_, err := c.r.Enqueue(c.ctx, run)
			return err != nil
		})
		wait(c.ctx, 200*time.Millisecond)
		require.NoError(c, os.Remove(filler))
	}}
}
