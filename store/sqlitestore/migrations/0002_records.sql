-- Records of the key-value half of the store: checkpoints, snapshots, leases, documents.
create table records (
    bucket     text    not null,
    key        text    not null,
    revision   integer not null,
    expires_at integer,          -- microseconds since 1970, UTC; null: never
    value      blob    not null
);

-- Serves get, compare-and-set and ordered scans.
create unique index records_bucket_key on records (bucket, key);

-- Serves the sweep of expired records; holds only those that can expire.
create index records_expires_at on records (expires_at) where expires_at is not null;

-- Revisions are never given out twice, also not after a record was deleted, so they need a counter of their own.
create table counters (
    name  text    primary key,
    value integer not null
) without rowid;
insert into counters (name, value) values ('revision', 0);
