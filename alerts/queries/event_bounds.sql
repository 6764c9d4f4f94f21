-- newest: how far any gateway has come; pending: the oldest reading that is not derived yet; now: the wall clock.
select (select max(event_ts) from nengliu.gateway) as newest,
       (select case when min(from_ts) < '1900-01-01T00:00Z' then '1900-01-01T00:00Z' else min(from_ts) end
        from nengliu.change
        where site_id is not null) as pending,
       (select assessed_through from nengliu.assessment_cursor) as assessed_through,
       clock_timestamp() as now
