-- Up to when changes of findings were heard. A transaction that changed one may have been open for a while: quarter of an hour.
select coalesce(findings_heard - interval '15 minutes', '1970-01-01T00:00Z') from nengliu.assessment_cursor
