-- Readings in the chunks that would go.
select count(*) from nengliu.reading where ts >= %(from)s and ts < %(to)s
