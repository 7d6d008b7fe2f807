package subscription

// Retried reports whether the batch is a dead letter whose retry was asked for: one event, older than the checkpoint. An
// error puts it back to the dead letters, but one that wraps store.ErrUnavailable leaves the request as it is.
func (b *Batch) Retried() bool { return b.stay }
