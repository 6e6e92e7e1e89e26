package repo

import "gorm.io/gorm/clause"

// union is a statement made of several selects, each with its own named values.
type union []clause.NamedExpr

func (u *union) add(text string, values map[string]any) {
	*u = append(*u, clause.NamedExpr{SQL: text, Vars: []any{values}})
}

// Build implements [clause.Expression].
func (u union) Build(builder clause.Builder) {
	for i, s := range u {
		if i > 0 {
			_, _ = builder.WriteString(" UNION ALL ")
		}
		s.Build(builder)
	}
}

// named is the statement with the names put in.
func (r *Repo) named(u union) union {
	for i := range u {
		u[i].SQL = r.sql(u[i].SQL)
	}
	return u
}
