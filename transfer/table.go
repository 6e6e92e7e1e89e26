package transfer

import (
	"math"
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/usher-go/usher/models"
)

// first is the id of the mark, below every other.
const first = int64(math.MinInt32)

// table is a table of usher's, in both databases.
type table struct {
	model   any
	name    string // in the source
	columns []column
	key     int  // which column is the key
	byID    bool // the key is a number, and not a text
}

// column is a column of usher's.
type column struct {
	name string
	kind kind
}

// tablesOf are the tables of the models, in the order in which they are created.
func tablesOf(source *gorm.DB) (all []table, err error) {
	for _, model := range models.All() {
		parsed := &gorm.Statement{DB: source}
		if err := parsed.Parse(model); err != nil {
			return nil, err
		}
		t := table{model: model, name: parsed.Table}
		for i, name := range parsed.Schema.DBNames {
			field := parsed.Schema.FieldsByDBName[name]
			t.columns = append(t.columns, column{name, kindOf(field.FieldType)})
			if field.PrimaryKey {
				t.key, t.byID = i, field.FieldType.Kind() == reflect.Int64
			}
		}
		all = append(all, t)
	}
	return all, nil
}

// keyColumn is the column that is the key.
func (t table) keyColumn() clause.Column { return clause.Column{Name: t.columns[t.key].name} }

// in is the table as a database names it.
func (t table) in(tx *gorm.DB) (clause.Table, error) {
	parsed := &gorm.Statement{DB: tx}
	err := parsed.Parse(t.model)
	return clause.Table{Name: parsed.Table}, err
}

// count is how many rows there are, without the mark.
func (t table) count(tx *gorm.DB) (n int64, err error) {
	query := tx.Model(t.model)
	if t.byID {
		query = query.Where(clause.Neq{Column: t.keyColumn(), Value: first})
	}
	return n, query.Count(&n).Error
}

// foreign are the columns of the table that are not usher's.
func (t table) foreign(tx *gorm.DB) (names []string, err error) {
	found, err := tx.Migrator().ColumnTypes(t.model)
	for _, c := range found {
		if !slices.ContainsFunc(t.columns, func(own column) bool { return own.name == c.Name() }) {
			names = append(names, c.Name())
		}
	}
	return names, err
}
