-- What the database holds of a registry, of readings or of what was received.
select array_remove(array[
    case when exists (select from nengliu.reading) then 'readings' end,
    case when exists (select from nengliu.site) then 'sites' end,
    case when exists (select from nengliu.series) then 'series of readings' end,
    case when exists (select from nengliu.reject) then 'rejects' end,
    case when exists (select from nengliu.ingest_ledger) then 'received messages' end], null)
