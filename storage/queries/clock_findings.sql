-- What the rule found of a gateway's clocks so far; stamped: where its readings lie.
select finding_id, kind, subject, rule_key, state, (extract(epoch from starts) * 1000000)::int8,
       (extract(epoch from coalesce(ends, starts)) * 1000000)::int8,
       (extract(epoch from (detail ->> 'stamped_from')::timestamptz) * 1000000)::int8,
       (extract(epoch from (detail ->> 'stamped_to')::timestamptz) * 1000000)::int8
from nengliu.finding
where rule = 'clocks' and gateway = %(gateway)s
