package main

import (
	"errors"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/usher-go/usher/internal/exercise"
)

// checkChart refuses a file that cannot be drawn, before the race rather than after it.
func checkChart(file string) error {
	if kind := strings.ToLower(filepath.Ext(file)); !slices.Contains([]string{".svg", ".png", ".pdf"}, kind) {
		return wrong("--chart %s: its name must end in .svg, .png or .pdf", file)
	}
	return nil
}

var (
	red   = color.RGBA{R: 0xd6, G: 0x3a, B: 0x2f, A: 0xff}
	green = color.RGBA{R: 0x1b, G: 0x84, B: 0x5b, A: 0xff}
	black = color.RGBA{R: 0x22, G: 0x22, B: 0x22, A: 0xff}
)

// drawChart draws the running runs over time against the limit: without the gate above, with
// it below, on the same scales.
func drawChart(file string, limit int, without, with []exercise.Moment) error {
	above, err := panel("Without the gate: count, then start", red, limit, without)
	if err != nil {
		return err
	}
	below, err := panel("With the gate", green, limit, with)
	if err != nil {
		return err
	}
	below.X.Label.Text = "seconds"
	above.X.Max = max(above.X.Max, below.X.Max)
	above.Y.Max = max(above.Y.Max, below.Y.Max)
	below.X.Max, below.Y.Max = above.X.Max, above.Y.Max
	canvas, err := draw.NewFormattedCanvas(18*vg.Centimeter, 11*vg.Centimeter, strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), "."))
	if err != nil {
		return err
	}
	plots := [][]*plot.Plot{{above}, {below}}
	tiles := draw.Tiles{Rows: 2, Cols: 1, PadX: vg.Millimeter, PadY: 4 * vg.Millimeter, PadTop: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter}
	for i, row := range plot.Align(plots, tiles, draw.New(canvas)) {
		plots[i][0].Draw(row[0])
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(out)
	return errors.Join(err, out.Close())
}

// panel is the chart of one race.
func panel(title string, fill color.Color, limit int, moments []exercise.Moment) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = title
	p.Y.Label.Text = "running runs"
	line, err := plotter.NewLine(peaks(moments))
	if err != nil {
		return nil, err
	}
	line.StepStyle = plotter.PostStep
	line.Color, line.FillColor, line.Width = fill, fill, vg.Points(0.5)
	last := moments[len(moments)-1].At.Seconds()
	bound, err := plotter.NewLine(plotter.XYs{{X: 0, Y: float64(limit)}, {X: 1e6, Y: float64(limit)}})
	if err != nil {
		return nil, err
	}
	bound.Color, bound.Dashes = black, []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(line, bound)
	p.Legend.Add("max_active_runs = "+strconv.Itoa(limit), bound)
	p.Legend.Top = true
	p.X.Min, p.X.Max, p.Y.Min = 0, last, 0
	p.Y.Max = max(p.Y.Max, float64(limit)) + 1 // room for the legend
	p.Y.Tick.Marker = wholeNumbers{}
	return p, nil
}

// wholeNumbers marks the axis of a count.
type wholeNumbers struct{}

// Ticks implements [plot.Ticker].
func (wholeNumbers) Ticks(low, high float64) (ticks []plot.Tick) {
	step := max(1, int(high-low)/6)
	for n := int(low); float64(n) <= high; n += step {
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: strconv.Itoa(n)})
	}
	return ticks
}

// peaks are the moments in few enough points to be drawn: of each slice of time, the highest.
func peaks(moments []exercise.Moment) plotter.XYs {
	const slicesOfTime = 400
	step := max(moments[len(moments)-1].At/slicesOfTime, 1)
	points := plotter.XYs{{X: 0, Y: 0}}
	for _, m := range moments {
		at, last := (m.At / step * step).Seconds(), &points[len(points)-1]
		if last.X == at {
			last.Y = max(last.Y, float64(m.Running))
		} else {
			points = append(points, plotter.XY{X: at, Y: float64(m.Running)})
		}
	}
	return points
}
