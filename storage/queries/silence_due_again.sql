-- What is left of something due that spans too much for one look.
insert into nengliu.silence_due (site_id, from_ts, to_ts) values (%(site)s, %(from)s, %(to)s)
