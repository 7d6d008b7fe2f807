-- The log. {{schema}} is the quoted name of the schema, {{lock}} the class of its advisory locks.

-- Rows that COPY brings in take their positions from here. append_begin sets it right, under the append lock, before
-- each COPY: so there are no gaps, although sequences as such leave some behind.
create sequence {{schema}}.event_position cache 1;

create table {{schema}}.events (
    position       bigint      not null default nextval('{{schema}}.event_position'),
    id             uuid        not null,
    stream         text        collate "C" not null, -- compares by bytes, so a category is a range of the index
    version        bigint      not null,             -- 1, 2, 3… in the stream
    type           text        collate "C" not null,
    schema_version integer     not null,
    content_type   text        collate "C" not null,
    data           bytea       not null, -- the codec's bytes as they are: jsonb would cost nearly twice the time
    metadata       bytea       not null, -- a JSON object
    tags           text[]      collate "C", -- in their order, duplicates included; null where there are none
    occurred_at    timestamptz not null,
    recorded_at    timestamptz not null default statement_timestamp(), -- a COPY starts when the lock is held: ascends
    constraint events_position primary key (position),
    constraint events_stream_version unique (stream, version),
    constraint events_id unique (id)
);
alter sequence {{schema}}.event_position owned by {{schema}}.events.position;

-- Which events have which tag; only tagged events have rows here. A B-tree, because GIN collapses with size.
create table {{schema}}.event_tags (
    tag      text   collate "C" not null,
    position bigint not null,
    constraint event_tags_tag_position primary key (tag, position)
);

-- json_of gives the JSON in the bytes, or null where they hold none.
create function {{schema}}.json_of(raw bytea) returns jsonb language plpgsql immutable as $f$
begin
    return convert_from(raw, 'UTF8')::jsonb;
exception when others then
    return null;
end $f$;

-- For people's SQL.
create view {{schema}}.events_json as
    select position, id, stream, version, type, schema_version, content_type,
           {{schema}}.json_of(data) as data, {{schema}}.json_of(metadata) as metadata,
           tags, occurred_at, recorded_at
      from {{schema}}.events;
