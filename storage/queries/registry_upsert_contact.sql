insert into nengliu.contact as c (scope, name, language, channel, address, severity_from)
select * from unnest(%(site_code)s::text[], %(name)s::text[], %(language)s::text[], %(channel)s::text[],
                     %(address)s::text[], %(severity_from)s::text[])
on conflict (scope, name, channel, address) do update
set language = excluded.language, severity_from = excluded.severity_from
