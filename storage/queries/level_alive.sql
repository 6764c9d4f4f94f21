-- Whether a point's meter sends voltages or currents in a time.
select exists (
    select from nengliu.installation i
    join nengliu.series s using (meter, register)
    join nengliu.reading r on r.series_id = s.series_id and r.ts >= %(from_ts)s and r.ts < %(to_ts)s
    where i.point_id = %(point)s and i.register = any (%(instants)s)
)
