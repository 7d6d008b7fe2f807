package cron_test

import (
	"fmt"
	"time"

	"lexigram.dev/events/schedule/cron"
)

func ExampleParse() {
	weekdays, err := cron.Parse("30 9 * * 1-5", "Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	friday := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	fmt.Println(weekdays.Next(friday).UTC())

	_, err = cron.Parse("30 25 * * *", "Europe/Berlin")
	fmt.Println(err)
	// Output:
	// 2026-11-23 08:30:00 +0000 UTC
	// cron "30 25 * * *": hour at position 4: end of range (25) above maximum (23): "25"
}
