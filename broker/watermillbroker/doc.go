// Package watermillbroker joins Watermill (github.com/ThreeDotsLabs/watermill) and package broker, both ways: [Backend] makes
// a broker of any Publisher and Subscriber of Watermill's, so that its adapters (AWS, Google, SQL, HTTP and others) are
// ours too; [Publisher] and [Subscriber] make a Pub/Sub of any broker of ours, for programs that are written for Watermill.
//
// # A Backend promises what its adapter does
//
// Watermill has no word for much of what the port promises, and its adapters differ: whether members share the messages
// of a group, whether a group that has no member keeps them, how many a subscription gives out at once, whether an
// acknowledgement is known to have arrived. So [Options] have the caller say what the adapter can, and what nobody says is
// not promised. What holds everywhere:
//
//   - A message is acknowledged after its handler has succeeded, and delivered again otherwise. But Watermill does not
//     tell whether an acknowledgement has arrived: a crash just after it may have a message delivered again.
//   - When Publish fails, so does every message of the call that is not known to have been sent, with ErrUnavailable
//     (see Options.Translate).
//   - An adapter that gives out one message at a time, as most do, has consumers handle one at a time for each topic and
//     member, whatever their concurrency; a message that fails holds up all behind it, not only those of its key.
//   - Deliveries are not counted, and none is delayed.
//
// The package knows no adapter.
package watermillbroker
