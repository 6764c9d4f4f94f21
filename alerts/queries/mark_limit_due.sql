insert into nengliu.assessment_due (site_id, item_code, year) values (%(site_id)s, %(item_code)s, %(year)s)
