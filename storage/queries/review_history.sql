-- Everything that people judged of a reading, the newest first.
select verdict, value, reviewed_by, reviewed_at, note from nengliu.reading_review
where series_id = %(series)s and ts = %(ts)s order by review_id desc
