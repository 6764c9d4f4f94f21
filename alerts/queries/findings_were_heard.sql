update nengliu.assessment_cursor set findings_heard = statement_timestamp(), findings_until = %(until)s
