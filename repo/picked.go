package repo

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/usher-go/usher/dialect"
	"github.com/usher-go/usher/models"
)

// pick is a run that may start, and the number of its gate when its order is elsewhere, or else 0;
// and its place there, or 0 for none.
type pick struct {
	stray, place int
	run          models.DagRun
}

// picked reads the runs that the selects of u pick, at most so many, and sorts them in their
// gates' order: a join has none. Their start_date is the time of this statement.
func (r *Repo) picked(tx *gorm.DB, u union, atMost int) (found []*pick, err error) {
	_, clock, err := r.now(tx.Statement.Context)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Raw(r.sql("SELECT p.stray, p.place, "+clock+", "+r.queued.columns+" FROM (?) p {runs by p.id} WHERE r.id = p.id"), r.named(u)).Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has it
	found = make([]*pick, 0, atMost)
	var places []any
	for rows.Next() {
		p := &pick{}
		places = r.queued.of(tx.Statement.Context, &p.run, append(places[:0], &p.stray, &p.place, &p.run.StartDate))
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	slices.SortFunc(found, (*pick).compare)
	return found, rows.Err()
}

// compare is the order of a gate: its own, or that of its queue's strays.
func (a *pick) compare(b *pick) int {
	switch {
	case a.stray != b.stray || a.place != b.place:
		return cmp.Or(a.stray-b.stray, a.place-b.place)
	case a.stray == 0:
		return inOrder(&a.run, &b.run)
	case a.place != 0:
		return cmp.Compare(a.run.ID, b.run.ID)
	default:
		return cmp.Or(a.run.RunAfter.Compare(b.run.RunAfter.Time), cmp.Compare(a.run.ID, b.run.ID))
	}
}

// pickedIDs is [Repo.picked], but reads nothing but the ids, in the order of the statement.
func (r *Repo) pickedIDs(tx *gorm.DB, u union, _ int) (found []*pick, err error) {
	var ids []struct {
		Stray int
		ID    int64
	}
	err = tx.Raw("SELECT p.stray, p.id FROM (?) p", r.named(u)).Scan(&ids).Error
	for _, p := range ids {
		found = append(found, &pick{stray: p.Stray, run: models.DagRun{ID: p.ID}})
	}
	return found, err
}

// inOrder compares runs as their gate orders them.
func inOrder(a, b *models.DagRun) int {
	backfillA, backfillB := GateOf(*a).BackfillID, GateOf(*b).BackfillID
	order := cmp.Or(cmp.Compare(backfillA, backfillB), a.RunAfter.Compare(b.RunAfter.Time), cmp.Compare(a.ID, b.ID))
	if backfillA != 0 && backfillA == backfillB {
		// Those without a place, which is 0, come last.
		return cmp.Or(cmp.Compare(uint(a.SortOrdinal-1), uint(b.SortOrdinal-1)), order)
	}
	return order
}

// queuedColumns are the columns of a queued run r, but for those that starting it sets. They are
// read into the fields one by one: GORM's own way takes twice as long as the engine.
type queuedColumns struct {
	columns string
	fields  []*schema.Field
}

func columnsOf(d gorm.Dialector, runs *schema.Schema) (q queuedColumns) {
	var columns []string
	for _, f := range runs.Fields {
		switch f.DBName {
		case "state", "start_date", "end_date", "updated_at", "scheduled_by_job_id":
			continue
		}
		column := "r." + f.DBName
		switch {
		case f.FieldType == reflect.TypeFor[models.Time]():
			column = dialect.ReadTime(d, column)
		case f.FieldType.Kind() == reflect.String && !f.NotNull:
			column = "COALESCE(" + column + ", '')"
		}
		columns = append(columns, column)
		q.fields = append(q.fields, f)
	}
	q.columns = strings.Join(columns, ", ")
	return q
}

// of adds where a run's columns are to be read to.
func (q queuedColumns) of(ctx context.Context, run *models.DagRun, places []any) []any {
	value := reflect.ValueOf(run).Elem()
	for _, f := range q.fields {
		places = append(places, f.ReflectValueOf(ctx, value).Addr().Interface())
	}
	return places
}
