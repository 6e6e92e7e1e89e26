package dialect

import (
	"database/sql/driver"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// Among is the condition that a column of a kind has one of the values; server is nil for an
// engine that is not known. PostgreSQL would read all of a table of 20,000 rows to find 200 by
// their key; when the list comes from a subquery, it does not know how long that is, and goes by
// the key. There it is sent as one array, if the column is of signed integers or texts: that
// takes less time than each value on its own, and the statement stays the same.
func Among[K any](server *Server, column clause.Column, kind schema.DataType, values []K) clause.Expr {
	name := map[schema.DataType]string{schema.Int: "bigint", schema.String: "text"}[kind]
	if server != nil && server.ReadsAll() && name != "" {
		if array, ok := arrayOf(kind, values); ok {
			return clause.Expr{SQL: "? = ANY ((SELECT ?::" + name + "[])::" + name + "[])", Vars: []any{column, array}}
		}
	}
	return clause.Expr{SQL: "? IN (?)", Vars: []any{column, values}, WithoutParentheses: true}
}

// arrayOf writes values as PostgreSQL does, if all are of the kind.
func arrayOf[K any](kind schema.DataType, values []K) (array string, ok bool) {
	var text strings.Builder
	text.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			text.WriteByte(',')
		}
		if _, expression := any(v).(gorm.Valuer); expression {
			return "", false
		}
		value, err := driver.DefaultParameterConverter.ConvertValue(v)
		if err != nil {
			return "", false
		}
		switch value := value.(type) {
		case int64:
			text.WriteString(strconv.FormatInt(value, 10))
			ok = kind == schema.Int
		case string:
			text.WriteString(`"` + quoted.Replace(value) + `"`)
			ok = kind == schema.String
		default:
			ok = false
		}
		if !ok {
			return "", false
		}
	}
	return text.String() + "}", true
}

// quoted is what a text becomes between quotes.
var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
