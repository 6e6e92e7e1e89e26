package schedule_test

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/schedule"
)

// Half past two on working days, in Berlin. The run for a date may start when its interval is over.
func ExampleParse() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	nightly, err := schedule.Parse("30 2 * * MON-FRI", berlin)
	if err != nil {
		panic(err)
	}
	from := time.Date(2024, 3, 28, 0, 0, 0, 0, berlin) // a Thursday; the clocks change on Sunday
	for interval := range nightly.Intervals(from) {
		fmt.Println(interval.Start.In(berlin), "to", interval.End.In(berlin))
		if interval.Start.Weekday() == time.Monday {
			break
		}
	}
	// Output:
	// 2024-03-28 02:30:00 +0100 CET to 2024-03-29 02:30:00 +0100 CET
	// 2024-03-29 02:30:00 +0100 CET to 2024-04-01 02:30:00 +0200 CEST
	// 2024-04-01 02:30:00 +0200 CEST to 2024-04-02 02:30:00 +0200 CEST
}

// A person asks for a time at which there was none, and for one that there was twice.
func ExampleInstant() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	skipped := time.Date(2024, 3, 31, 2, 30, 0, 0, time.UTC)
	twice := time.Date(2024, 10, 27, 2, 30, 0, 0, time.UTC)
	fmt.Println(schedule.Instant(skipped, berlin).In(berlin))
	fmt.Println(schedule.Instant(twice, berlin).In(berlin))
	// Output:
	// 2024-03-31 03:30:00 +0200 CEST
	// 2024-10-27 02:30:00 +0100 CET
}
