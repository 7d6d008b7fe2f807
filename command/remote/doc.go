// Package remote sends commands to another process over a message broker, and brings back the result or the error.
//
// A [Server] takes requests from a topic and dispatches them on a command.Bus; the processes of one service share them. A
// [Client] publishes requests and takes the replies from a topic of its own. What may be sent is what a schema.Registry
// holds that is made for commands: explicit names, versions and upcasters as for events. Who may send is up to the
// broker's permissions: the server believes the actor and tenant that a request names.
//
// A request has a deadline, that of the caller's context; after it nobody handles it any more. It carries the caller's
// metadata (correlation, tenant, actor, trace), with the request as the cause. Errors come back as an [Error], with a
// code, for which errors.Is finds the same kind as in the server's process; see [Codes].
//
// # How often a command is handled
//
// At most once, unless the caller says otherwise. Before the handler is called the server claims the request by its id in
// the store; a claim outlives the deadline. What a crash leaves behind, at each point:
//
//   - The client dies, or gives up: the request is handled, its reply is dropped.
//   - Publishing has an unknown outcome: the client publishes again with the same id, until the deadline.
//   - The server dies before it has claimed: the broker delivers again, and it is handled then.
//   - It dies between the claim and the end of the handler, or before its reply is out: it is delivered again, the claim
//     is found, and nothing is done. The caller waits until the deadline: [ErrNoReply], the outcome is unknown.
//   - It dies after the reply: the same, but the caller knows.
//   - Whether the claim was stored is not known: the server asks again with the same token, so it is its own if it was.
//
// Exactly once per idempotency key, where the command or the [Request] has one: its result is kept in the store, and
// whoever sends the same command with the key again gets that result. Those that come while it is being handled wait.
// A failure is not kept: the next one with the key is handled. When the server dies in the middle, the next one with the key
// (the same message, delivered again, or another) waits until the first's lease has expired and has the handler called
// again. So what the handler does must be known by the key: append events with ids derived from it (see [Key]), which
// stores them once; or let the server keep the result in the transaction of the effect (ServerOptions.InTransaction).
//
// The package does not know aggregates, and no broker's name.
package remote
