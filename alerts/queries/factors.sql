-- Tonnes per unit of an item; valid_to is not included.
select item_code, quantity, value, valid_from,
       case when valid_to = 'infinity' then date '9999-12-31' else valid_to end as valid_to
from nengliu.factor
where quantity = any (%(quantities)s::text[])
