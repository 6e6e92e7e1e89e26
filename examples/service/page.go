package main

import (
	"html/template"
	"log"
	"net/http"
)

// page refreshes itself every second.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="1">
<title>Deliveries</title>
<table>
<tr><th>gate<th>running<th><th>queued
{{range .Gates}}<tr><td>{{.Gate}}<td><meter max="{{.MaxActiveRuns}}" value="{{.Running}}"></meter><td>{{.Running}} of {{.MaxActiveRuns}}<td>{{.Queued}}
{{end}}</table>
<ol>
{{range .Orders}}<li value="{{.ID}}">{{.Item}}{{if .Delivered}}, delivered{{end}}
{{end}}</ol>
`))

// show is a page with how full the gates are, and the last orders.
func (s service) show(w http.ResponseWriter, request *http.Request) {
	gates, err := s.repo.Status(request.Context())
	var orders []Order
	if err == nil {
		err = s.db.WithContext(request.Context()).Order("id DESC").Limit(50).Find(&orders).Error
	}
	if err == nil {
		err = page.Execute(w, map[string]any{"Gates": gates, "Orders": orders})
	}
	if err != nil {
		log.Print(err)
		http.Error(w, "try again", http.StatusInternalServerError)
	}
}
