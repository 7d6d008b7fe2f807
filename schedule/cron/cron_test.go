package cron_test

import (
	"strings"
	"testing"
	"time"

	"lexigram.dev/events/schedule"
	"lexigram.dev/events/schedule/cron"
)

func parse(t *testing.T, expression, zone string) schedule.Recurrence {
	t.Helper()
	r, err := cron.Parse(expression, zone)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTimesFollowTheClockOfTheZone(t *testing.T) {
	for _, c := range []struct{ name, zone, expression, after, want string }{
		{"a plain day", "Europe/Berlin", "0 9 * * 1-5", "2026-11-20T09:00:00+01:00", "11-23 09:00 +01, 11-24 09:00 +01"},
		{"a skipped time of day is the moment after", "Europe/Berlin", "30 2 * * *", "2026-03-28T00:00:00Z", "03-28 02:30 +01, 03-29 03:00 +02, 03-30 02:30 +02"},
		{"two skipped times are one", "Europe/Berlin", "0,30 2 * * *", "2026-03-29T00:00:00Z", "03-29 03:00 +02, 03-30 02:00 +02"},
		{"a repeated time of day is the first", "Europe/Berlin", "30 2 * * *", "2026-10-24T00:00:00Z", "10-24 02:30 +02, 10-25 02:30 +02, 10-26 02:30 +01"},
		{"from between the passes it is tomorrow", "Europe/Berlin", "30 2 * * *", "2026-10-25T01:10:00Z", "10-26 02:30 +01"},
		{"each hour of the long day", "Europe/Berlin", "0 * * * *", "2026-10-24T22:30:00Z", "10-25 01:00 +02, 10-25 02:00 +02, 10-25 02:00 +01, 10-25 03:00 +01"},
		{"each half hour of the long day", "Europe/Berlin", "*/30 * * * *", "2026-10-24T23:45:00Z", "10-25 02:00 +02, 10-25 02:30 +02, 10-25 02:00 +01, 10-25 02:30 +01, 10-25 03:00 +01"},
		{"each half hour of the short day", "Europe/Berlin", "*/30 * * * *", "2026-03-29T00:15:00Z", "03-29 01:30 +01, 03-29 03:00 +02, 03-29 03:30 +02"},
		{"every eighth hour", "America/New_York", "0 */8 * * *", "2026-11-01T04:30:00Z", "11-01 08:00 -05, 11-01 16:00 -05, 11-02 00:00 -05"},
		{"a skipped midnight", "America/Santiago", "0 0 * * *", "2026-09-04T10:30:00Z", "09-05 00:00 -04, 09-06 01:00 -03, 09-07 00:00 -03"},
		{"a change by half an hour, skipped", "Australia/Lord_Howe", "15 2 * * *", "2026-10-02T20:30:00Z", "10-04 02:30 +11, 10-05 02:15 +11"},
		{"a change by half an hour, repeated", "Australia/Lord_Howe", "45 1 * * *", "2026-04-03T10:30:00Z", "04-04 01:45 +11, 04-05 01:45 +11, 04-06 01:45 +10"},
		{"a weekday across the change", "America/Chicago", "0 2 * * 6", "2026-10-31T07:00:00Z", "11-07 02:00 -06"},
		{"a leap day", "UTC", "0 0 29 2 *", "2026-10-31T07:00:00Z", "02-29 00:00 +00"},
		{"the 13th or a Friday", "UTC", "0 0 13 * 5", "2026-12-07T00:00:00Z", "12-11 00:00 +00, 12-13 00:00 +00, 12-18 00:00 +00"},
		{"hours over midnight", "UTC", "0 23-1 * * *", "2026-12-07T00:00:00Z", "12-07 01:00 +00, 12-07 23:00 +00, 12-08 00:00 +00"},
		{"a name", "UTC", "@daily", "2026-12-07T00:00:00Z", "12-08 00:00 +00"},
		{"a while", "UTC", "@every 90s", "2026-12-07T00:00:00Z", "12-07 00:01 +00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := parse(t, c.expression, c.zone)
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.after)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range strings.Count(c.want, ",") + 1 {
				at = r.Next(at)
				got = append(got, at.In(zone).Format("01-02 15:04 -07"))
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}

// TestEveryTimeIsAfterTheOneBefore walks a year of changes in zones that have odd ones.
func TestEveryTimeIsAfterTheOneBefore(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran"} {
		for expression, most := range map[string]time.Duration{"*/10 * * * *": 10 * time.Minute, "7 * * * *": 2 * time.Hour, "5 2 * * *": 25 * time.Hour, "30 1,2,3 * * *": 24 * time.Hour} {
			r := parse(t, expression, zone)
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for at.Year() == 2026 {
				next := r.Next(at)
				if gap := next.Sub(at); gap <= 0 || gap > most && at.YearDay() > 1 {
					t.Fatalf("%s in %s: after %v comes %v", expression, zone, at, next)
				}
				at = next
			}
		}
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	for _, c := range []struct{ expression, zone, want string }{
		{"", "UTC", "empty"},
		{"* * *", "UTC", "it has 3 fields, need 5"},
		{"0 0 0 * * *", "UTC", "it has 6 fields, need 5"},
		{"61 * * * *", "UTC", "minute at position 1"},
		{"0  25 * * *", "UTC", "hour at position 4"},
		{"0 0 L * *", "UTC", "day of month at position 5"},
		{"0 0 1 foo *", "UTC", "month at position 7"},
		{"0 0 1 * 9", "UTC", "day of week at position 9"},
		{"1,,2 * * * *", "UTC", "minute at position 1"},
		{"50-10-5 * * * *", "UTC", "minute at position 1"},
		{"*/0 * * * *", "UTC", "minute at position 1"},
		{"@sometimes", "UTC", "@sometimes"},
		{"@every 1ms", "UTC", "@every"},
		{"TZ=UTC 0 0 * * *", "UTC", "time zone is given apart"},
		{"0 0 * * *", "", "the time zone is missing"},
		{"0 0 * * *", "Local", "differs from one computer"},
		{"0 0 * * *", "Mars/Olympus", "Mars/Olympus"},
	} {
		r, err := cron.Parse(c.expression, c.zone)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q in %q: %v, %v; want %q", c.expression, c.zone, r, err, c.want)
		}
	}
}

func TestWhatNeverHappensHasNoNextTime(t *testing.T) {
	for _, expression := range []string{"0 0 30 2 *", "0 * 31 4 *"} {
		if next := parse(t, expression, "Europe/Berlin").Next(time.Now()); !next.IsZero() {
			t.Errorf("%s: %v", expression, next)
		}
	}
}
