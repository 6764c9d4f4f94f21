-- The meters of simulated loads that are still installed: those of this one, or of one that was killed.
select meter, gateway, installed_at
from nengliu.installation
where starts_with(gateway, %(prefix)s) and removed_at is null
order by meter
