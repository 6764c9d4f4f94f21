-- Other stored versions of a reading.
select value, kind, gateway, received_at, recorded_at from nengliu.reading_version
where series_id = %(series)s and ts = %(ts)s order by recorded_at, value
