select s.meter, s.register, s.series_id
from unnest(%(meters)s::text[], %(registers)s::text[]) as u (meter, register)
join nengliu.series s using (meter, register)
