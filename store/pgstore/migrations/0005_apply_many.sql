-- apply_many does what apply_records does for a batch in which no record is named twice, without a loop: many times as
-- fast for hundreds of records, as projections write them. The arguments and results are the same.
create function {{schema}}.apply_many(
    kinds integer[], buckets text[], keys text[], vals bytea[], ttls bigint[], expected bigint[], sweep boolean,
    out failed integer, out actual bigint, out revisions bigint[])
language plpgsql
-- Each record is found by its key, whatever the planner believes of a table that has grown since it was last analysed.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off
as $f$
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
    -- The new revisions come first, so that no result must be joined to its operation: the plan would be one for few rows.
    -- A check that has passed has found what it expects; one that expects nothing is looked up.
    select array_agg(case u.kind when 1 then nextval('{{schema}}.record_revision') when 2 then 0 else coalesce(u.e, (
               select r.revision from {{schema}}.records r
                where r.bucket = u.b and r.key = u.k and (r.expires_at is null or r.expires_at > clock)), 0) end order by u.o)
      into revisions
      from unnest(kinds, buckets, keys, expected) with ordinality as u(kind, b, k, e, o);
    insert into {{schema}}.records as r (bucket, key, value, revision, expires_at)
    select u.b, u.k, u.v, u.r, clock + u.t * interval '1 microsecond'
      from unnest(kinds, buckets, keys, vals, ttls, revisions) as u(kind, b, k, v, t, r) where u.kind = 1
    on conflict on constraint records_bucket_key do update
       set value = excluded.value, revision = excluded.revision, expires_at = excluded.expires_at;
    delete from {{schema}}.records r using unnest(kinds, buckets, keys) as u(kind, b, k)
     where u.kind = 2 and r.bucket = u.b and r.key = u.k;
    if sweep then
        -- Bounded, and never waits, so it cannot be part of a deadlock.
        delete from {{schema}}.records r using (
            select x.bucket, x.key from {{schema}}.records x where x.expires_at <= clock
             order by x.expires_at limit 100 for update skip locked) x
         where r.bucket = x.bucket and r.key = x.key and r.expires_at <= clock;
    end if;
end $f$;
