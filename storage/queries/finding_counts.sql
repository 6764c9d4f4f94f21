select kind, count(*) from nengliu.finding where state = 'open' and ends is null group by kind
