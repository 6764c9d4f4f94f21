copy nengliu.registry_change (version, kind, key, before, after) from stdin
