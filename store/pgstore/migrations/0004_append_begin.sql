-- append_begin once more, with less to look up. Most batches come from a process that has itself written what the log
-- ends with; then nobody else has appended meanwhile, and what the process has stored is as it left it.
drop function {{schema}}.append_begin(text[], bigint[], jsonb);

-- append_begin opens a batch: takes the lock, makes the sequence continue after the last position, checks the version
-- of each stream and the conditions. It returns the head; row i of the COPY that follows gets position head + i.
-- If the last event of the log is the one with position tip and id tip_id, only the first doubtful streams are checked:
-- the versions of the others are certain. tip is null where the caller knows of no such event.
-- A failed check is error LX001, whose detail is a list: "p3=7" part 3 found version 7, "p3=-7" its stream ended with
-- a tombstone at 7, "c2=41" the condition of request 2 is broken by position 41. Numbers count from 1.
create function {{schema}}.append_begin(
    streams text[], expected bigint[], conditions jsonb, doubtful integer, tip bigint, tip_id uuid)
returns bigint language plpgsql as $f$
declare
    head    bigint;
    last_id uuid;
    last    bigint;
    bad     text;
    broken  text;
begin
    perform pg_advisory_xact_lock({{lock}}, 1);
    select position, id into head, last_id from {{schema}}.events order by position desc limit 1;
    head := coalesce(head, 0);
    select case when is_called then last_value else 0 end into last from {{schema}}.event_position;
    if last <> head then
        perform setval('{{schema}}.event_position', greatest(head, 1), head > 0);
    end if;
    if head = tip and last_id = tip_id then
        streams := streams[1:doubtful];
        expected := expected[1:doubtful];
    end if;
    -- Of the events of a stream only those from the expected version on are looked at: one, where all is well.
    if cardinality(streams) > 0 and exists (
        select from unnest(streams, expected) as u(s, e)
          left join lateral (select version, type from {{schema}}.events where stream = u.s and version >= u.e order by version desc limit 1) l on true
         where coalesce(l.version, 0) <> u.e or l.type = '$tombstone')
    then
        select string_agg('p' || u.o || '=' || case when l.type = '$tombstone' then -l.version else coalesce(l.version, 0) end, ',')
          into bad
          from unnest(streams, expected) with ordinality as u(s, e, o)
          left join lateral (select version, type from {{schema}}.events where stream = u.s order by version desc limit 1) l on true
         where coalesce(l.version, 0) <> u.e or l.type = '$tombstone';
    end if;
    if conditions is not null then
        select string_agg('c' || request || '=' || matched, ',') into broken from {{schema}}.append_conflicts(conditions);
    end if;
    if bad is not null or broken is not null then
        raise exception 'append conflict' using errcode = 'LX001', detail = concat_ws(',', bad, broken);
    end if;
    return head;
end $f$;
