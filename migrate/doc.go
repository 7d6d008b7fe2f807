// Package migrate copies a log from one store into another, of whatever backends, while the source is in use: all events
// as they are, at their positions, then those that come, until the operator switches over. [Copy] can be interrupted at any
// moment and run again; [Plan] says what it would do; [Compare] proves that both ends hold the same.
//
// It works on stores through the capabilities store.Importer, store.BucketLister and store.Truncator. It must not know any
// backend, nor what the records mean that it copies; leases alone it recognises, which must not be copied.
package migrate
