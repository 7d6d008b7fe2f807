-- Keyed records.
create sequence {{schema}}.record_revision cache 1;

create table {{schema}}.records (
    bucket     text   collate "C" not null,
    key        text   collate "C" not null,
    value      bytea  not null,
    revision   bigint not null,
    expires_at timestamptz, -- null: never
    constraint records_bucket_key primary key (bucket, key)
) with (fillfactor = 70); -- room for updates in place: checkpoints change all the time

create index records_expires_at on {{schema}}.records (expires_at) where expires_at is not null;

-- apply_records does all operations in order, or none. kinds: 1 put, 2 delete, 3 check. ttls in microseconds, null:
-- never expires. expected: null: anything, 0: no record. It returns the revisions, or in failed the number of the
-- operation that did not find what it expects (counted from 1) and in actual what it found. With sweep it also removes
-- some expired records.
--
-- Lock order: stripes of the keys ascending, ({{lock}}, 1000 + hash); so batches cannot deadlock, and a key that has no
-- row yet is locked too. The append lock, where a transaction takes both, comes after.
create function {{schema}}.apply_records(
    kinds integer[], buckets text[], keys text[], vals bytea[], ttls bigint[], expected bigint[], sweep boolean,
    out failed integer, out actual bigint, out revisions bigint[])
language plpgsql as $f$
declare
    clock   timestamptz;
    current bigint;
begin
    perform pg_advisory_xact_lock({{lock}}, o.stripe) from (
        select distinct 1000 + (hashtext(u.b || '/' || u.k) & 511) as stripe from unnest(buckets, keys) as u(b, k) order by stripe) o;
    clock := clock_timestamp();
    failed := 0;
    revisions := array_fill(0::bigint, array[cardinality(kinds)]);
    begin -- a subtransaction: what was done before a failed check is undone, and the caller's transaction goes on
        for i in 1 .. cardinality(kinds) loop
            select r.revision into current from {{schema}}.records r
             where r.bucket = buckets[i] and r.key = keys[i] and (r.expires_at is null or r.expires_at > clock);
            current := coalesce(current, 0);
            if expected[i] <> current then -- null where anything is fine
                failed := i;
                actual := current;
                raise exception using errcode = 'LX002', message = 'record conflict';
            end if;
            if kinds[i] = 1 then
                insert into {{schema}}.records as r (bucket, key, value, revision, expires_at)
                values (buckets[i], keys[i], vals[i], nextval('{{schema}}.record_revision'), clock + ttls[i] * interval '1 microsecond')
                on conflict on constraint records_bucket_key do update
                   set value = excluded.value, revision = excluded.revision, expires_at = excluded.expires_at
                returning r.revision into current;
            elsif kinds[i] = 2 then
                delete from {{schema}}.records r where r.bucket = buckets[i] and r.key = keys[i];
                current := 0;
            end if;
            revisions[i] := current;
        end loop;
    exception when sqlstate 'LX002' then
        revisions := null;
    end;
    if sweep then
        -- Bounded, and never waits, so it cannot be part of a deadlock.
        delete from {{schema}}.records r using (
            select x.bucket, x.key from {{schema}}.records x where x.expires_at <= clock
             order by x.expires_at limit 100 for update skip locked) x
         where r.bucket = x.bucket and r.key = x.key and r.expires_at <= clock;
    end if;
end $f$;

-- truncate_stream removes the events of a stream below a version, but never the last one: the highest position must
-- not be given out again. It counts what it removed in the bucket $truncated, and returns it; null: no such stream.
create function {{schema}}.truncate_stream(_stream text, _before bigint) returns bigint language plpgsql as $f$
declare
    last    bigint;
    removed bigint;
begin
    perform pg_advisory_xact_lock({{lock}}, 1);
    select max(version) into last from {{schema}}.events where stream = _stream;
    if last is null then
        return null;
    end if;
    with gone as (
        delete from {{schema}}.events where stream = _stream and version < least(_before, last) returning position, tags
    ), untagged as (
        delete from {{schema}}.event_tags t using (select distinct g.position, unnest(g.tags) as tag from gone g) g
         where t.tag = g.tag and t.position = g.position
    )
    select count(*) into removed from gone;
    if removed > 0 then
        insert into {{schema}}.records as r (bucket, key, value, revision)
        values ('$truncated', _stream, convert_to(removed::text, 'UTF8'), nextval('{{schema}}.record_revision'))
        on conflict on constraint records_bucket_key do update
           set value = convert_to((convert_from(r.value, 'UTF8')::bigint + removed)::text, 'UTF8'),
               revision = excluded.revision, expires_at = null;
    end if;
    return removed;
end $f$;
