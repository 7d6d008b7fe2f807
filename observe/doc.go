// Package observe lets a program watch the engine at work: one-method hook interfaces, called after an operation, and
// [Slog], an observer that writes them to a log. Hooks see names, counts, durations and errors, never payloads.
//
// Hooks are called on the goroutine that did the work, so they must be quick and safe for concurrent use.
package observe
