-- The reasons in the dead letters.
select distinct reason from nengliu.reject
