-- The first local day of which anything is known.
select min(period) from nengliu.site_period where grain = 'day'
