-- What is still to do: marks not derived, the last local day assessed, events not published.
select (select count(*) from nengliu.change) as changes,
       (select assessed_through from nengliu.assessment_cursor) as assessed_through,
       (select count(*) from nengliu.event_outbox where published_at is null) as unpublished
