package errcode

// The codes of the Python package, 001 to 023, with its numbers; 024 to 099 are left to it. Some have no cause here yet:
// their pages say so.
const (
	General            Code = "LEX_ERR_EVT_001" // an error of the engine that has no number of its own; not given by this version
	NoHandler          Code = "LEX_ERR_EVT_002" // nobody handles the message's type
	DuplicateHandler   Code = "LEX_ERR_EVT_003" // there is a handler already
	Conflict           Code = "LEX_ERR_EVT_004" // a stream, the log or a record is not as was expected
	CommandFailed      Code = "LEX_ERR_EVT_005" // the handler of a remote command has failed
	QueryFailed        Code = "LEX_ERR_EVT_006" // the handler of a query has failed; not given by this version: its own error comes through
	NotFound           Code = "LEX_ERR_EVT_007" // there is no such stream or record
	EventHandlerFailed Code = "LEX_ERR_EVT_008" // a subscription has stopped at an event
	AggregateNotFound  Code = "LEX_ERR_EVT_009" // there is no such aggregate, or not yet at that time
	BrokerUnavailable  Code = "LEX_ERR_EVT_010" // the broker cannot be reached
	EventsMissing      Code = "LEX_ERR_EVT_011" // events that are needed were truncated
	StoreFull          Code = "LEX_ERR_EVT_012" // the store has no room
	StoreIncompatible  Code = "LEX_ERR_EVT_013" // what is there is no store, or one of another version
	StoreUnavailable   Code = "LEX_ERR_EVT_014" // the store cannot be reached
	ProjectionFailed   Code = "LEX_ERR_EVT_015" // a projection's handler has failed
	RebuildRefused     Code = "LEX_ERR_EVT_016" // a rebuild cannot begin, go on or be undone
	ProjectionNotFound Code = "LEX_ERR_EVT_017" // there is no such projection
	WebhookFailed      Code = "LEX_ERR_EVT_018" // a webhook was not delivered; not given by this version, which has no webhooks
	Schema             Code = "LEX_ERR_EVT_019" // an event cannot be encoded or decoded
	Forbidden          Code = "LEX_ERR_EVT_020" // whoever asks may not
	Streaming          Code = "LEX_ERR_EVT_021" // a live stream to a browser has failed
	SchemaIncompatible Code = "LEX_ERR_EVT_022" // a type has changed so that stored events break
	SchemaNotFound     Code = "LEX_ERR_EVT_023" // the type, or this version of it, is not registered
)

// The codes of this engine alone, from 101. A number is never given to something else.
const (
	Invalid           Code = "LEX_ERR_EVT_101" // the input is malformed
	TooLarge          Code = "LEX_ERR_EVT_102" // the input is over a limit
	IDReused          Code = "LEX_ERR_EVT_103" // an event id is stored already, for another event
	StreamDeleted     Code = "LEX_ERR_EVT_104" // the stream ended with a tombstone
	Closed            Code = "LEX_ERR_EVT_105" // what is used was closed or stopped
	ReadOnly          Code = "LEX_ERR_EVT_106" // the store does not accept writes
	Corrupt           Code = "LEX_ERR_EVT_107" // stored data is damaged
	Unsupported       Code = "LEX_ERR_EVT_108" // this backend or broker cannot do that
	BrokerRefused     Code = "LEX_ERR_EVT_110" // the broker will not do it, however often it is asked
	NotReplicated     Code = "LEX_ERR_EVT_111" // Redis has not confirmed that replicas hold it
	BrokerFull        Code = "LEX_ERR_EVT_112" // the broker has no room
	PublishFailed     Code = "LEX_ERR_EVT_113" // messages were not confirmed
	TooManyDeliveries Code = "LEX_ERR_EVT_114" // a message was given out again and again
	Timeout           Code = "LEX_ERR_EVT_115" // it did not finish in time
	OutcomeUnknown    Code = "LEX_ERR_EVT_116" // no reply: whether it was done is not known
	Panic             Code = "LEX_ERR_EVT_117" // code has panicked
	Running           Code = "LEX_ERR_EVT_118" // it runs already
	TooLate           Code = "LEX_ERR_EVT_119" // registered after the start
	ResultType        Code = "LEX_ERR_EVT_120" // the result is of another type
	KeyReused         Code = "LEX_ERR_EVT_121" // an idempotency key was used for something else
	Fenced            Code = "LEX_ERR_EVT_122" // another process has taken over
	Checkpoint        Code = "LEX_ERR_EVT_123" // a stored checkpoint cannot be used
	LetterBehind      Code = "LEX_ERR_EVT_124" // a dead letter waits behind another
	ProjectionBehind  Code = "LEX_ERR_EVT_125" // an inline projection is too far behind
	NotHandling       Code = "LEX_ERR_EVT_126" // documents were changed outside of a handler
	SagaNotFound      Code = "LEX_ERR_EVT_127" // there is no such saga or instance
	SagaExists        Code = "LEX_ERR_EVT_128" // the instance exists, with other data
	SagaEnded         Code = "LEX_ERR_EVT_129" // the instance has ended
	SagaRefused       Code = "LEX_ERR_EVT_130" // the instance is in no state for that
	Malformed         Code = "LEX_ERR_EVT_131" // a message cannot be read
	RateLimited       Code = "LEX_ERR_EVT_132" // too many messages
	CircuitOpen       Code = "LEX_ERR_EVT_133" // the circuit breaker is open
	Different         Code = "LEX_ERR_EVT_134" // a target holds something else than its source
	ImportLine        Code = "LEX_ERR_EVT_135" // a line of an import is wrong
	Backlog           Code = "LEX_ERR_EVT_136" // messages wait in the outbox for too long
	NotCalled         Code = "LEX_ERR_EVT_137" // an earlier handler of the sequence has failed
	ScheduleNotFound  Code = "LEX_ERR_EVT_138" // no such delivery is pending
	ScheduleExists    Code = "LEX_ERR_EVT_139" // another delivery of this id is pending
	ScheduleBusy      Code = "LEX_ERR_EVT_140" // the delivery is being made
	Configuration     Code = "LEX_ERR_EVT_141" // the configuration is not valid
	Disabled          Code = "LEX_ERR_EVT_142" // the configuration has switched it off
	CopyEnded         Code = "LEX_ERR_EVT_143" // a transforming copy has ended
)

// List gives all codes, in their order.
func List() []Code {
	return []Code{
		General, NoHandler, DuplicateHandler, Conflict, CommandFailed, QueryFailed, NotFound, EventHandlerFailed,
		AggregateNotFound, BrokerUnavailable, EventsMissing, StoreFull, StoreIncompatible, StoreUnavailable, ProjectionFailed, RebuildRefused,
		ProjectionNotFound, WebhookFailed, Schema, Forbidden, Streaming, SchemaIncompatible, SchemaNotFound, Invalid,
		TooLarge, IDReused, StreamDeleted, Closed, ReadOnly, Corrupt, Unsupported, BrokerRefused,
		NotReplicated, BrokerFull, PublishFailed, TooManyDeliveries, Timeout, OutcomeUnknown, Panic, Running,
		TooLate, ResultType, KeyReused, Fenced, Checkpoint, LetterBehind, ProjectionBehind, NotHandling,
		SagaNotFound, SagaExists, SagaEnded, SagaRefused, Malformed, RateLimited, CircuitOpen, Different,
		ImportLine, Backlog, NotCalled, ScheduleNotFound, ScheduleExists, ScheduleBusy, Configuration, Disabled,
		CopyEnded,
	}
}
