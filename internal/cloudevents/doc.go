// Package cloudevents turns events into messages of a broker and back, as CloudEvents 1.0 in binary mode: each attribute is
// a header, the data is the body. So programs that know nothing of this module can read them, and it can read theirs.
//
// The headers are ce- and the attribute's name, and content-type for datacontenttype; drivers may turn them into the form
// that their protocol's binding asks for. Beside the attributes of the specification there are its extensions traceparent,
// tracestate, partitionkey, correlationid, causationid and recordedtime, and our own: stream, streamversion, position,
// schemaversion, actor, tenant, tags and metadata (the last two as JSON).
//
// The package knows events and messages. It does not know Go types of events, nor where messages go.
package cloudevents
