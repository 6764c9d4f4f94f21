-- Days of points whose energy changed, for the search for lasting changes of level. See docs/decisions/levels.md.
-- A day that has just begun is noted once, when its first hour is there: a point that sends on costs one row a day.
create table nengliu.level_due (
    due_id bigint generated always as identity primary key,
    point_id int not null,
    from_day date not null,
    to_day date not null
);

create function nengliu.note_level_days() returns trigger language plpgsql
    security definer set search_path = nengliu, pg_temp as $$
begin
    if tg_op = 'UPDATE' then
        insert into nengliu.level_due (point_id, from_day, to_day)
        select c.point_id, min(c.period), max(c.period)
        from changed c
        where c.grain = 'day' and exists (select from nengliu.point_period later
                                          where later.grain = 'day' and later.point_id = c.point_id
                                            and later.period > c.period)
        group by c.point_id, (c.period - date '1970-01-05') / 28;
    else
        insert into nengliu.level_due (point_id, from_day, to_day)
        select c.point_id, min(c.period), max(c.period)
        from changed c
        where c.grain = 'day'
        group by c.point_id, (c.period - date '1970-01-05') / 28;
    end if;
    return null;
end $$;

create trigger note_level_days_new after insert on nengliu.point_period
    referencing new table as changed for each statement execute function nengliu.note_level_days();
create trigger note_level_days_other after update on nengliu.point_period
    referencing new table as changed for each statement execute function nengliu.note_level_days();
create trigger note_level_days_gone after delete on nengliu.point_period
    referencing old table as changed for each statement execute function nengliu.note_level_days();

-- All that is stored is looked at once.
insert into nengliu.level_due (point_id, from_day, to_day)
select point_id, min(period), max(period)
from nengliu.point_period
where grain = 'day'
group by point_id, (period - date '1970-01-05') / 28;

grant select, insert, update, delete on nengliu.level_due to nengliu_pipeline;
