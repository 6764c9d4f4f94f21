-- The factors as they are known now; valid_to NULL: until further notice.
select item_code, quantity, value, unit, valid_from, case when valid_to < 'infinity' then valid_to end as valid_to,
       source, confidence, approved_by, shipped
from nengliu.factor
order by item_code, quantity, valid_from
