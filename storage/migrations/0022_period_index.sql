-- Periods of all sites are asked for by grain, each by name. One partial index a grain serves that as well as one over
-- both, and never is mistaken for the way to one site's periods, which is the key: until a table was analyzed first, the
-- planner holds both for equal, and one of them reads all sites for each.
drop index nengliu.site_period_grain_period_idx;
create index site_period_days on nengliu.site_period (period) where grain = 'day';
create index site_period_months on nengliu.site_period (period) where grain = 'month';
create index site_period_years on nengliu.site_period (period) where grain = 'year';
