-- The newest import of installations, and the end of the last time that nothing was received.
select (select max(v.imported_at) from nengliu.registry_version v join nengliu.registry_change c using (version)
        where c.kind = 'installation') as imported_at,
       (select max(ends) from nengliu.finding
        where kind = 'nothing_received' and state = 'open') as received_again
