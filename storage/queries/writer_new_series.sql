insert into nengliu.series (meter, register)
select meter, register from unnest(%(meters)s::text[], %(registers)s::text[]) as u (meter, register)
order by meter, register
on conflict do nothing
