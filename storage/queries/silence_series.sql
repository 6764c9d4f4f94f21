select meter, register, series_id from nengliu.series where meter = any (%(meters)s::text[])
