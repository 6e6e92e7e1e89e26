package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// figure is one result.
type figure struct {
	Workload string  `json:"workload"`
	Name     string  `json:"figure"`
	Engine   string  `json:"engine"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"` // "ms", "runs/s", "ratio", …
	Target   string  `json:"target,omitempty"`
}

// report is what a run of the benchmarks found, in the order in which it found it.
type report struct {
	Size    string            `json:"size"`
	Machine map[string]string `json:"machine"`
	Engines map[string]string `json:"engines"`
	Figures []figure          `json:"figures"`
}

func newReport(size string) *report {
	return &report{Size: size, Engines: map[string]string{}, Machine: map[string]string{
		"system": runtime.GOOS + "/" + runtime.GOARCH, "processors": strconv.Itoa(runtime.NumCPU()), "go": runtime.Version(), "load before": load(),
	}}
}

// load is the machine's load average, where the system tells it.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(text))[:min(3, len(strings.Fields(string(text))))], " ")
}

func (r *report) add(f figure) {
	r.Figures = append(r.Figures, f)
	fmt.Fprintf(os.Stderr, "%-16s %-12s %-56s %10s %s\n", f.Engine, f.Workload, f.Name, show(f.Value), f.Unit)
}

// show writes a value with three digits that count.
func show(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

// markdown has a table for each workload: a row for each figure, a column for each engine.
func (r *report) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "# Benchmark, size %s\n\nMade by `make bench SIZE=%s`. Medians; ratios are of what was measured in turns within the run.\n\n", r.Size, r.Size)
	for _, name := range []string{"system", "processors", "go", "load before", "load after"} {
		fmt.Fprintf(&text, "- %s: %s\n", name, r.Machine[name])
	}
	if cache := r.Machine["cache"]; cache != "" {
		fmt.Fprintf(&text, "- cache: %s\n", cache)
	}
	var labels, workloads []string
	for _, f := range r.Figures {
		if !slices.Contains(labels, f.Engine) {
			labels = append(labels, f.Engine)
			fmt.Fprintf(&text, "- %s: %s\n", f.Engine, r.Engines[f.Engine])
		}
		if !slices.Contains(workloads, f.Workload) {
			workloads = append(workloads, f.Workload)
		}
	}
	for _, workload := range workloads {
		fmt.Fprintf(&text, "\n## %s\n\n| | unit | %s | to reach |\n| --- | --- |%s --- |\n", workload, strings.Join(labels, " | "), strings.Repeat(" ---: |", len(labels)))
		for _, row := range r.rows(workload, labels) {
			fmt.Fprintf(&text, "| %s |\n", strings.Join(row, " | "))
		}
	}
	return text.String()
}

func (r *report) rows(workload string, labels []string) (rows [][]string) {
	place := map[string]int{}
	for _, f := range r.Figures {
		if f.Workload != workload {
			continue
		}
		i, ok := place[f.Name]
		if !ok {
			i = len(rows)
			place[f.Name] = i
			rows = append(rows, append(append([]string{f.Name, f.Unit}, make([]string, len(labels))...), f.Target))
		}
		rows[i][2+slices.Index(labels, f.Engine)] = show(f.Value)
	}
	return rows
}

// write puts the report into the folder, as Markdown and as JSON.
func (r *report) write(folder string) error {
	r.Machine["load after"] = load()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, r.Size+".json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, r.Size+".md"), []byte(r.markdown()), 0o644)
}
