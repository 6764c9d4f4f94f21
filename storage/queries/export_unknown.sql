-- Codes of sites and of districts that the registry does not have.
select code from unnest(%(sites)s::text[]) as u (code)
where not exists (select from api.site s where s.site_code = u.code)
union all
select code from unnest(%(districts)s::text[]) as u (code)
where not exists (select from api.site s where s.district_code = u.code)
