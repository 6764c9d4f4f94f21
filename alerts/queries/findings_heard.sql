-- Up to when changes of findings were heard. A transaction that changed one may have been open for a while: quarter of an hour.
select coalesce(findings_heard - interval '15 minutes', '-infinity') from nengliu.assessment_cursor
