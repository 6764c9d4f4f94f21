-- Series of a meter, or of one register of it.
select series_id, register from nengliu.series where meter = %(meter)s order by register
