// Package groupcommit turns the appends that many goroutines make at once into few batches, so that one round trip and
// one disk flush serve many of them. While a batch commits, the next one forms.
//
// It is the half that all durable drivers share: the queue, the forming of batches, cancellation. What a batch does to
// its database is the driver's half:
//
//	for {
//		batch, ok := queue.Next() // blocks until there is a batch worth sending
//		if !ok {
//			return // closed and drained
//		}
//		… write; call Resolve or Fail on each request …
//		queue.Finish(batch) // requests without an answer go back to the head of the queue
//	}
//
// With Depth 2 a driver may take the next batch before it finished the first (a pipeline).
package groupcommit
