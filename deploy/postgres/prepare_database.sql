-- Run as superuser in each fresh database.
set client_min_messages = warning;
create extension if not exists timescaledb;

-- Any login role can crash this TimescaleDB through merge_chunks.
do $$
declare routine regprocedure;
begin
    for routine in select p.oid from pg_proc p where p.proname in ('merge_chunks', 'split_chunk', 'attach_chunk', 'detach_chunk')
    loop
        execute format('revoke execute on routine %s from public', routine);
    end loop;
end $$;

-- Nobody makes objects in schema public but the owner; only our roles connect.
revoke create on schema public from public;
do $$
declare service name;
begin
    execute format('revoke connect, temporary on database %I from public', current_database());
    execute format('grant connect, temporary on database %I to nengliu_owner, nengliu_pipeline', current_database());
    execute format('grant connect on database %I to nengliu_read', current_database());
    for service in select rolname from pg_roles where rolname in ('nengliu_writer', 'nengliu_worker')
    loop
        execute format('grant connect, temporary on database %I to %I', current_database(), service);
    end loop;
end $$;
