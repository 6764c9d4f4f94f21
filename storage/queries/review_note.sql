insert into nengliu.reading_review (series_id, ts, value, verdict, reviewed_by, note)
values (%(series)s, %(ts)s, %(value)s, 'open', %(by)s, %(note)s)
