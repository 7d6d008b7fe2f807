// Package checkup is the form in which a part of the engine says how it is: findings, each good, doubtful or bad, with a
// cure. Drivers make them (store.Diagnoser, broker.Diagnoser), admin puts them together, `lexevents doctor` shows them.
//
// It must not know what is checked.
package checkup
