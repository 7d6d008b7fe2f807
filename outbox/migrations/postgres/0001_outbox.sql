-- Messages that were written in a transaction and wait to be published, and for a while those that were.
create table {table} (
	id         bigint generated always as identity primary key, -- the order of writing
	message_id text   not null, -- of the message; a message that is published again keeps it
	topic      text   not null,
	key        text   not null, -- what keeps its order; empty: the message stands for itself
	headers    text   not null, -- a JSON object of strings
	body       bytea  not null,
	created_at bigint not null, -- microseconds since 1970, as all times here
	attempts   integer not null default 0, -- that have failed
	next_at    bigint, -- when it is tried again
	error      text,   -- of the last attempt
	sent_at    bigint  -- when the broker had confirmed it; null: it waits
);

create index {index}_waiting" on {on} (id) where sent_at is null;

create index {index}_sent" on {on} (sent_at) where sent_at is not null;
