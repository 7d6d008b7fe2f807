// Package schemalock notices when a change of Go code would break the reading of stored events. A [Lock] is the shapes of
// all registered types, in each version there ever was, as a file that is committed beside the code; [Lock.Check] compares
// it with a registry, in a test or by `lexevents schema check`:
//
//	changes := lock.Check(registry, schemalock.Backward)
//
// What it finds is told as [Change]: a change that breaks is cured by raising the type's version and adding an upcaster,
// or by taking it back; what does not break is put into the lock by taking a new snapshot.
//
// Shapes are those of JSON, as encoding/json writes a Go type. Types that write themselves (MarshalJSON), and all types of
// other codecs, are known by name only.
package schemalock
