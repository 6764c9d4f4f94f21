-- Whose reading a reject is, where its bytes say so: for counting and for putting back. NULL: not said, or older.
alter table nengliu.reject add column meter text;
comment on column nengliu.reject.requeued_at is
    'put in again then, and no longer counted as rejected: what is rejected anew has a row of its own';
