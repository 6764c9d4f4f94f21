create temporary table if not exists new_assessment (
    site_id int, item_code text, year int, as_of date, used float8, limit_value float8, quota_limit_id int,
    p10 float8, p50 float8, p90 float8, exhaustion_date date, level text, completeness float8, method text,
    expected_share float8
) on commit delete rows
