-- What the numbers of the readings' series mean.
select series_id, meter, register from nengliu.series
