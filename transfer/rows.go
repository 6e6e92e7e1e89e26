package transfer

import (
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// chunk is how many rows are read and written at a time: no engine takes more parameters in a
// statement than these have.
const chunk = 1000

// read returns the rows after a key in the order of their keys, a chunk of them. Where the key is
// a text it returns all.
func (t table) read(tx *gorm.DB, after int64) (rows []row, err error) {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	query := tx.Model(t.model).Select(names)
	if t.byID {
		query = query.Where(clause.Gt{Column: t.keyColumn(), Value: after}).Order(clause.OrderByColumn{Column: t.keyColumn()}).Limit(chunk)
	}
	found, err := query.Rows()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.name, err)
	}
	defer func() { _ = found.Close() }() // Err has told what was wrong
	raw, places := make([]any, len(names)), make([]any, len(names))
	for i := range raw {
		places[i] = &raw[i]
	}
	for found.Next() {
		if err := found.Scan(places...); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.name, err)
		}
		r, err := t.row(raw)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", t.name, err)
	}
	if !t.byID { // each engine has an order of its own
		slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a[t.key].(string), b[t.key].(string)) })
	}
	return rows, nil
}

// row is what was read, in one form whatever the engine.
func (t table) row(raw []any) (row, error) {
	r := make(row, len(raw))
	for i, c := range t.columns {
		value, err := c.kind.value(raw[i])
		if err != nil {
			return nil, fmt.Errorf("read %s, column %s of %s: %w", t.name, c.name, shown(r[t.key]), err)
		}
		r[i] = value
	}
	return r, nil
}

// insert adds rows as they are.
func (t table) insert(tx *gorm.DB, rows []row) error {
	name, err := t.in(tx)
	if err != nil {
		return err
	}
	columns := make([]clause.Column, len(t.columns))
	for i, c := range t.columns {
		columns[i].Name = c.name
	}
	for some := range slices.Chunk(rows, chunk) {
		values := make([][]any, len(some))
		for i, r := range some {
			values[i] = r
		}
		if err := tx.Exec("INSERT INTO ? ?", name, clause.Values{Columns: columns, Values: values}).Error; err != nil {
			return fmt.Errorf("write %s %s to %s: %w", t.name, shown(some[0][t.key]), shown(some[len(some)-1][t.key]), err)
		}
	}
	return nil
}

// remove deletes the rows with the keys.
func (t table) remove(tx *gorm.DB, keys []any) error {
	for some := range slices.Chunk(keys, chunk) {
		if err := tx.Where(clause.IN{Column: t.keyColumn(), Values: some}).Delete(t.model).Error; err != nil {
			return fmt.Errorf("remove from %s: %w", t.name, err)
		}
	}
	return nil
}
