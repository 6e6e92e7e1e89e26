package tests

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/usher-go/usher/internal/testdb"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/schedule"
)

// BenchmarkCreateBackfill makes backfills of 10,000 runs and, in turn with them, writes the same
// rows with bare INSERTs of 1,000 rows in one transaction. It reports the time of the one over that of
// the other.
func BenchmarkCreateBackfill(b *testing.B) {
	for _, open := range []func(testing.TB) testdb.Database{
		testdb.PostgreSQL, testdb.MySQL, testdb.MariaDB, func(t testing.TB) testdb.Database { return testdb.SQLite(t, "sqlite") },
	} {
		d := open(b)
		for _, expression := range []string{"@daily", "@hourly"} {
			b.Run(d.Engine+" "+expression, func(b *testing.B) { createOverInsert(b, open(b), expression) })
		}
	}
}

func createOverInsert(b *testing.B, d testdb.Database, expression string) {
	const n = 10_000
	db := d.Open(b)
	r, err := repo.New(db)
	require.NoError(b, err)
	require.NoError(b, r.Migrate(b.Context()))
	s, err := schedule.Parse(expression, time.UTC)
	require.NoError(b, err)
	var dates []time.Time
	for i := range s.Intervals(time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)) {
		if dates = append(dates, i.Start); len(dates) == n {
			break
		}
	}
	var create, insert time.Duration
	for i := 0; b.Loop(); i++ {
		dag := fmt.Sprintf("%s_%d", expression, i)
		_, err := r.SetDag(b.Context(), dag)
		require.NoError(b, err)
		began := time.Now()
		made, places, err := r.CreateBackfill(b.Context(), repo.BackfillRequest{DagID: dag, From: dates[0], To: dates[n-1], Schedule: s})
		create += time.Since(began)
		require.NoError(b, err)
		require.Len(b, places, n)
		insert += bareInsert(b, db, made, places)
	}
	b.ReportMetric(float64(create)/float64(insert), "create/insert")
	b.ReportMetric(float64(create.Milliseconds())/float64(b.N), "create-ms/op")
	b.ReportMetric(float64(insert.Milliseconds())/float64(b.N), "insert-ms/op")
}

// bareInsert writes the rows of a backfill once more, for another DAG, and measures it.
func bareInsert(b *testing.B, db *gorm.DB, made models.Backfill, places []models.BackfillDagRun) time.Duration {
	var runs []models.DagRun
	require.NoError(b, db.Where("backfill_id = ?", made.ID).Order("id").Find(&runs).Error)
	require.Len(b, runs, len(places))
	for i := range runs {
		runs[i].ID, runs[i].DagID, runs[i].BackfillID = 0, "bare "+made.DagID, nil
		places[i].ID, places[i].BackfillID = 0, -made.ID
	}
	began := time.Now()
	require.NoError(b, db.Transaction(func(tx *gorm.DB) error {
		for some := range slices.Chunk(runs, 1000) {
			if err := tx.Create(some).Error; err != nil {
				return err
			}
		}
		for some := range slices.Chunk(places, 1000) {
			if err := tx.Create(some).Error; err != nil {
				return err
			}
		}
		return nil
	}))
	return time.Since(began)
}
