create temporary table if not exists arriving (
    n int4 not null,
    series_id int4 not null,
    ts timestamptz not null,
    value float8 not null,
    received_at timestamptz not null
) on commit delete rows;
create temporary table if not exists beside (
    series_id int4 not null,
    ts timestamptz not null,
    value float8 not null,
    superseded bool not null,
    gateway_no int4 not null,
    received_at timestamptz not null
) on commit delete rows;
