-- marked_on: the local day on which all series were marked last; waiting: whether any mark waits.
select (select marked_on from nengliu.assessment_cursor) as marked_on,
       exists (select from nengliu.assessment_due) as waiting
