select site_code from nengliu.site where site_code = %(site)s
