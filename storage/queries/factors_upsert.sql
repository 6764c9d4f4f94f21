-- A shipped factor, unless an approved version covers any part of its time.
insert into nengliu.factor as f
    (item_code, quantity, value, unit, valid_from, valid_to, source, confidence, approved_by)
select %(item_code)s, %(quantity)s, %(value)s, %(unit)s, %(valid_from)s::date, %(valid_to)s::date,
       %(source)s, %(confidence)s, %(approved_by)s
where not exists (
    select from nengliu.factor a
    where a.item_code = %(item_code)s and a.quantity = %(quantity)s and a.approved_by is not null
      and a.valid_from < %(valid_to)s::date and a.valid_to > %(valid_from)s::date)
on conflict (item_code, quantity, valid_from) do update
set value = excluded.value, unit = excluded.unit, valid_to = excluded.valid_to,
    source = excluded.source, confidence = excluded.confidence
where f.approved_by is null
  and (f.value, f.unit, f.valid_to, f.source, f.confidence)
      is distinct from (excluded.value, excluded.unit, excluded.valid_to, excluded.source, excluded.confidence)
