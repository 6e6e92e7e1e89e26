package repo

import "gorm.io/gorm/clause"

// union is a statement made of several selects, each with its own named values.
type union struct{ selects []clause.NamedExpr }

func (u *union) add(text string, values map[string]any) {
	u.selects = append(u.selects, clause.NamedExpr{SQL: text, Vars: []any{values}})
}

// Build implements [clause.Expression].
func (u union) Build(builder clause.Builder) {
	for i, s := range u.selects {
		if i > 0 {
			_, _ = builder.WriteString(" UNION ALL ")
		}
		s.Build(builder)
	}
}

// named is the statement with the names put in.
func (r *Repo) named(u union) union {
	for i := range u.selects {
		u.selects[i].SQL = r.sql(u.selects[i].SQL)
	}
	return u
}
