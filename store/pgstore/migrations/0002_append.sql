-- Appending. Every append takes the advisory lock ({{lock}}, 1) to the end of its transaction. That makes the order of
-- positions the order of visibility: who has a position has committed before the next one is given out.
--
-- The lock is a statement of its own: in READ COMMITTED the statements after it see what the last holder committed. In
-- a stricter isolation level they would not, so callers make sure of the level.

-- append_conflicts lists the conditions that are broken: of which request, and by the event at which position.
-- conditions is an array of query items {r: request, p: after, t: types or null, g: tags or null}.
-- An item without tags looks at every event after p; an index on events (type, position) helps where that is many.
create function {{schema}}.append_conflicts(conditions jsonb)
returns table (request integer, matched bigint) language plpgsql as $f$
declare
    c   record;
    hit bigint;
begin
    for c in select * from jsonb_to_recordset(conditions) as x(r integer, p bigint, t text[], g text[]) loop
        if c.g is null then
            select e.position into hit from {{schema}}.events e
             where e.position > c.p and e.type = any (c.t) order by e.position limit 1;
        else
            -- One tag without newer events decides, however many the others have.
            continue when exists (
                select from unnest(c.g) as w(tag) where not exists (
                    select from {{schema}}.event_tags x where x.tag = w.tag and x.position > c.p));
            select e.position into hit
              from {{schema}}.event_tags x join {{schema}}.events e on e.position = x.position
             where x.tag = c.g[1] and x.position > c.p and e.tags @> c.g and (c.t is null or e.type = any (c.t))
             order by x.position limit 1;
        end if;
        if hit is not null then
            request := c.r;
            matched := hit;
            return next;
        end if;
    end loop;
end $f$;

-- append_begin opens a batch: takes the lock, makes the sequence continue after the last position, checks the version
-- of each stream and the conditions. It returns the head; row i of the COPY that follows gets position head + i.
-- A failed check is error LX001, whose detail is a list: "p3=7" part 3 found version 7, "p3=-7" its stream ended with
-- a tombstone at 7, "c2=41" the condition of request 2 is broken by position 41. Numbers count from 1.
create function {{schema}}.append_begin(streams text[], expected bigint[], conditions jsonb)
returns bigint language plpgsql as $f$
declare
    head   bigint;
    last   bigint;
    bad    text;
    broken text;
begin
    perform pg_advisory_xact_lock({{lock}}, 1);
    select coalesce(max(position), 0) into head from {{schema}}.events;
    select case when is_called then last_value else 0 end into last from {{schema}}.event_position;
    if last <> head then
        perform setval('{{schema}}.event_position', greatest(head, 1), head > 0);
    end if;
    select string_agg('p' || u.o || '=' || case when l.type = '$tombstone' then -l.version else coalesce(l.version, 0) end, ',')
      into bad
      from unnest(streams, expected) with ordinality as u(s, e, o)
      left join lateral (select version, type from {{schema}}.events where stream = u.s order by version desc limit 1) l on true
     where coalesce(l.version, 0) <> u.e or l.type = '$tombstone';
    if conditions is not null then
        select string_agg('c' || request || '=' || matched, ',') into broken from {{schema}}.append_conflicts(conditions);
    end if;
    if bad is not null or broken is not null then
        raise exception 'append conflict' using errcode = 'LX001', detail = concat_ws(',', bad, broken);
    end if;
    return head;
end $f$;

-- append_one appends one event: the fast path of an append that is alone. expected is -1 for any version, -2 for a
-- stream that exists. It returns {position, version}, or {0, version found} for a conflict, or {-1, …} for a deleted
-- stream.
create function {{schema}}.append_one(
    _id uuid, _stream text, _expected bigint, _type text, _schema_version integer, _content_type text,
    _data bytea, _metadata bytea, _tags text[], _occurred_at timestamptz)
returns bigint[] language plpgsql as $f$
declare
    head bigint;
    v    bigint;
    t    text;
begin
    perform pg_advisory_xact_lock({{lock}}, 1);
    select coalesce(max(position), 0) into head from {{schema}}.events;
    select version, type into v, t from {{schema}}.events where stream = _stream order by version desc limit 1;
    v := coalesce(v, 0);
    if t = '$tombstone' then
        return array[-1, v];
    end if;
    if _expected >= 0 and v <> _expected or _expected = -2 and v = 0 then
        return array[0, v];
    end if;
    insert into {{schema}}.events (position, id, stream, version, type, schema_version, content_type, data, metadata, tags, occurred_at, recorded_at)
    values (head + 1, _id, _stream, v + 1, _type, _schema_version, _content_type, _data, _metadata, _tags, _occurred_at, clock_timestamp());
    if _tags is not null then
        insert into {{schema}}.event_tags (tag, position) select distinct t.tag, head + 1 from unnest(_tags) as t(tag);
    end if;
    return array[head + 1, v + 1];
end $f$;

-- append_many appends several requests, each whole or not at all; one that fails does not hurt its neighbours. A
-- request has parts (streams), a part has events; the arrays say which belongs to which, counting from 1. If two
-- requests share a stream, the later one expects any version. tags are array literals. The stream is given again for
-- each event, because reaching into an array of texts takes time in proportion to its length.
-- It returns the head before; of each part the version found (negative: -version of a tombstone); the requests that
-- were refused; of them those whose ids are stored already; and the requests whose conditions are broken, and where.
create function {{schema}}.append_many(
    part_requests integer[], part_streams text[], part_expected bigint[], conditions jsonb,
    event_parts integer[], streams text[], ids uuid[], types text[], schema_versions integer[], content_types text[],
    datas bytea[], metadatas bytea[], tag_lists text[], occurred timestamptz[],
    out head bigint, out actual bigint[], out refused integer[], out reused integer[],
    out broken integer[], out matched bigint[])
language plpgsql as $f$
declare
    tagged bigint;
begin
    perform pg_advisory_xact_lock({{lock}}, 1);
    select coalesce(max(position), 0) into head from {{schema}}.events;
    select array_agg(case when l.type = '$tombstone' then -l.version else coalesce(l.version, 0) end order by u.o)
      into actual
      from unnest(part_streams) with ordinality as u(s, o)
      left join lateral (select version, type from {{schema}}.events where stream = u.s order by version desc limit 1) l on true;
    select array_agg(distinct part_requests[u.p]) into reused
      from unnest(ids, event_parts) as u(id, p) join {{schema}}.events e on e.id = u.id;
    if conditions is not null then
        select array_agg(c.request), array_agg(c.matched) into broken, matched from {{schema}}.append_conflicts(conditions) c;
    end if;
    select coalesce(array_agg(distinct r), '{}') into refused from (
        select u.r from unnest(part_requests, part_expected, actual) as u(r, e, v)
         where u.v < 0 or u.e >= 0 and u.v <> u.e or u.e = -2 and u.v = 0
        union all select unnest(reused)
        union all select unnest(broken)) as b(r);
    insert into {{schema}}.events (position, id, stream, version, type, schema_version, content_type, data, metadata, tags, occurred_at, recorded_at)
    select head + row_number() over (order by u.o), u.id, u.stream,
           actual[u.p] + row_number() over (partition by u.stream order by u.o),
           u.type, u.schema_version, u.content_type, u.data, u.metadata, u.tags::text[], u.occurred, clock_timestamp()
      from unnest(event_parts, streams, ids, types, schema_versions, content_types, datas, metadatas, tag_lists, occurred)
           with ordinality as u(p, stream, id, type, schema_version, content_type, data, metadata, tags, occurred, o)
     where not part_requests[u.p] = any (refused);
    select count(*) into tagged from unnest(tag_lists) as t(list) where t.list is not null;
    if tagged > 0 then
        insert into {{schema}}.event_tags (tag, position)
        select distinct t.tag, e.position from {{schema}}.events e, unnest(e.tags) as t(tag)
         where e.position > head and e.tags is not null;
    end if;
end $f$;
