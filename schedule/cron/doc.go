// Package cron reads cron expressions for package schedule. It is apart because it needs a library.
//
// An expression has five fields: minute (0-59), hour (0-23), day of month (1-31), month (1-12 or JAN-DEC), day of week
// (0-7 or SUN-SAT; 0 and 7 are Sunday). A field is "*", or a list of numbers and ranges, each perhaps with a step: "*/15",
// "1-5", "22-2", "8,12,16", "0-30/10". Where both days are restricted, either one will do, as usual. Or it is one of @yearly,
// @monthly, @weekly, @daily, @hourly, and "@every 90s", which counts from the time before.
//
// The time zone is given apart, and must be named. When its clock is changed:
//   - An hour that begins with "*" follows the clock: "*/30 * * * *" happens each half hour that passes, so four times where
//     two hours have the same name, and never at a time that is skipped.
//   - Any other hour happens once a day: at the first of two such times, and where the time is skipped, at the moment after
//     that. "30 2 * * *" in Berlin is 03:00 on the day on which there is no 02:30.
package cron
