-- Up to when changes of findings were heard, wall clock (a transaction that changed one may have been open for a while:
-- quarter of an hour), and up to when findings were, by the clock in use.
select coalesce(findings_heard - interval '15 minutes', '1970-01-01T00:00Z'), coalesce(findings_until, '1970-01-01T00:00Z')
from nengliu.assessment_cursor
