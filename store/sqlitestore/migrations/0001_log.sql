-- The log. position is the rowid, so reading in order of positions walks the table itself. Positions are given out under
-- SQLite's write lock as max(position) + 1, so there is no counter that could fall behind or run ahead.
create table events (
    position       integer primary key,
    stream         text    not null,
    version        integer not null, -- 1, 2, 3… in the stream
    type           text    not null,
    schema_version integer not null,
    content_type   text    not null,
    id             blob    not null, -- 16 bytes
    occurred_at    integer not null, -- microseconds since 1970, UTC
    recorded_at    integer not null, -- microseconds since 1970, UTC
    tags           text,             -- JSON array of strings, null where there are none
    metadata       blob    not null, -- JSON object
    data           blob    not null  -- the codec's bytes, as they are
);

-- Serves reading a stream, its version at an append, the list of streams; and refuses a version that is taken.
create unique index events_stream_version on events (stream, version);

-- Makes appends idempotent. Ids are UUIDv7, so new entries land next to each other.
create unique index events_id on events (id);

-- One row for each different tag of each tagged event: conditions and filtered reads look here.
create table event_tags (
    tag      text    not null,
    position integer not null,
    primary key (tag, position)
) without rowid;

-- For people's SQL. Nothing in the program reads it.
create view events_json as
select position,
       lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-' ||
             substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)) as id,
       stream, version, type, schema_version, content_type,
       strftime('%Y-%m-%dT%H:%M:%fZ', occurred_at / 1000000.0, 'unixepoch') as occurred_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', recorded_at / 1000000.0, 'unixepoch') as recorded_at,
       tags,
       cast(metadata as text) as metadata,
       case when content_type like 'application/%json%' or content_type like 'text/%' then cast(data as text) end as data
  from events;
