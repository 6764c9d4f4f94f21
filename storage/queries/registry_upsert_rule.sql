insert into nengliu.validation_rule as r (scope, key, rule, value, note)
select * from unnest(%(scope)s::text[], %(key)s::text[], %(rule)s::text[], %(value)s::float8[], %(note)s::text[])
on conflict (scope, key, rule) do update
set value = excluded.value, note = excluded.note
