-- What is not as the registers have it: points whose energy is not what their register advanced by since its start
-- value, and figures of sites that are not the sums of the points that count.
with shown as (
    select i.point_id, max(r.value) - min(i.start_value) as advanced
    from nengliu.installation i
    join nengliu.series e using (meter, register)
    join nengliu.reading r using (series_id)
    group by i.point_id
), summed as (
    select x.site_id, x.item_code, p.period, sum(p.consumption) as consumption
    from nengliu.root_span x
    join nengliu.point_period p using (point_id)
    where p.grain = 'day'
    group by x.site_id, x.item_code, p.period
)
select (select count(*)
        from shown
        left join (select point_id, sum(consumption) as consumption from nengliu.point_hour group by point_id) h
            using (point_id)
        where abs(h.consumption - advanced) <= 1e-6 * (1 + advanced) is not true),
       (select count(*)
        from summed
        left join (select site_id, item_code, period, consumption from nengliu.site_period where grain = 'day') s
            using (site_id, item_code, period)
        where abs(s.consumption - summed.consumption) <= 1e-6 * (1 + summed.consumption) is not true)
