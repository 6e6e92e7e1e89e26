package tests

import (
	"go/ast"
	"go/doc"
	"slices"
	"strings"
)

// exampled are the packages whose verbs have examples that are run.
var exampled = []string{"repo", "locking", "runner", "schedule", "transfer", "migrations", "models"}

// unexampled are verbs without an example, and why.
var unexampled = map[string]string{
	"locking.Found":      "Server, which has one, without its question",
	"locking.Joined":     "asks what it was that Join has returned",
	"locking.MayBeStale": "for package repo, whose queries are raw",
	"locking.Told":       "for package repo, which reads outside InTx",
	"locking.Unprepared": "for package repo, whose statements are of many texts",
}

// ofInterfaces are methods that others call: of fmt, database/sql, encoding/json and GORM.
var ofInterfaces = []string{
	"Error", "String", "Scan", "Value", "MarshalJSON", "UnmarshalJSON",
	"TableName", "GormDataType", "GormDBDataType", "GormValue", "AfterCreate", "Name", "Initialize",
}

// options are the types of options, which are shown where they are of use.
var options = []string{"Option", "DagSetting"}

// examples: of a function "F", of a method "T_M", as go doc names them.
func examples(tree []source) (broken []string) {
	has := map[string]bool{}
	for _, s := range tree {
		for _, e := range doc.Examples(s.File) {
			has[s.dir()+"."+e.Name] = e.Output != "" // without it is not run
		}
	}
	for _, s := range tree {
		if s.isTest() || !slices.Contains(exampled, s.dir()) {
			continue
		}
		for _, d := range s.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !isVerb(f) {
				continue
			}
			name := s.dir() + "." + f.Name.Name
			if f.Recv != nil {
				name = s.dir() + "." + receiver(f) + "_" + f.Name.Name
			}
			switch _, without := unexampled[name]; {
			case has[name] && without:
				broken = append(broken, name+" has an example: it is no exception any more")
			case !has[name] && !without:
				broken = append(broken, s.path+": "+name+" has no example with an output")
			}
		}
	}
	return broken
}

// isVerb reports whether a function is exported, and neither an option nor there for the sake of an interface.
func isVerb(f *ast.FuncDecl) bool {
	switch {
	case !f.Name.IsExported() || strings.HasPrefix(f.Name.Name, "Example"):
		return false
	case f.Recv != nil:
		return ast.IsExported(receiver(f)) && !slices.Contains(ofInterfaces, f.Name.Name)
	}
	results := f.Type.Results
	if results == nil || len(results.List) != 1 {
		return true
	}
	result, _ := results.List[0].Type.(*ast.Ident)
	return result == nil || !slices.Contains(options, result.Name)
}
