-- apply_many does what apply_records does for a batch in which no record is named twice, without a loop: many times as
-- fast for hundreds of records, as projections write them. The arguments and results are the same.
create function {{schema}}.apply_many(
    kinds integer[], buckets text[], keys text[], vals bytea[], ttls bigint[], expected bigint[], sweep boolean,
    out failed integer, out actual bigint, out revisions bigint[])
language plpgsql as $f$
declare
    clock timestamptz;
begin
    perform pg_advisory_xact_lock({{lock}}, o.stripe) from (
        select distinct 1000 + (hashtext(u.b || '/' || u.k) & 511) as stripe from unnest(buckets, keys) as u(b, k) order by stripe) o;
    clock := clock_timestamp();
    failed := 0;
    -- The first that does not find what it expects.
    select u.o, coalesce(r.revision, 0) into failed, actual
      from unnest(buckets, keys, expected) with ordinality as u(b, k, e, o)
      left join {{schema}}.records r on r.bucket = u.b and r.key = u.k and (r.expires_at is null or r.expires_at > clock)
     where u.e <> coalesce(r.revision, 0) -- null where anything is fine
     order by u.o limit 1;
    if failed > 0 then
        return;
    end if;
    failed := 0;
    with put as (
        insert into {{schema}}.records as r (bucket, key, value, revision, expires_at)
        select u.b, u.k, u.v, nextval('{{schema}}.record_revision'), clock + u.t * interval '1 microsecond'
          from unnest(kinds, buckets, keys, vals, ttls) as u(kind, b, k, v, t) where u.kind = 1
        on conflict on constraint records_bucket_key do update
           set value = excluded.value, revision = excluded.revision, expires_at = excluded.expires_at
        returning r.bucket, r.key, r.revision
    ), gone as (
        delete from {{schema}}.records r using unnest(kinds, buckets, keys) as u(kind, b, k)
         where u.kind = 2 and r.bucket = u.b and r.key = u.k
    )
    -- After a check the record is as expected; an expired one that was checked for absence counts as none.
    select array_agg(coalesce(put.revision, case when u.kind = 3 then coalesce(r.revision, 0) else 0 end) order by u.o) into revisions
      from unnest(kinds, buckets, keys) with ordinality as u(kind, b, k, o)
      left join put on u.kind = 1 and put.bucket = u.b and put.key = u.k
      left join {{schema}}.records r on u.kind = 3 and r.bucket = u.b and r.key = u.k and (r.expires_at is null or r.expires_at > clock);
    if sweep then
        -- Bounded, and never waits, so it cannot be part of a deadlock.
        delete from {{schema}}.records r using (
            select x.bucket, x.key from {{schema}}.records x where x.expires_at <= clock
             order by x.expires_at limit 100 for update skip locked) x
         where r.bucket = x.bucket and r.key = x.key and r.expires_at <= clock;
    end if;
end $f$;
