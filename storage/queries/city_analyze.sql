analyze nengliu.site, nengliu.point, nengliu.installation, nengliu.point_span, nengliu.root_span, nengliu.series,
    nengliu.quota, nengliu.reading, nengliu.point_hour, nengliu.site_hour, nengliu.point_period, nengliu.site_period,
    nengliu.ingest_ledger, nengliu.gateway, nengliu.assessment_due
