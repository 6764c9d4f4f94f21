-- An alert that was resolved by an assessment, not by a person: only an assessment of a later day may open another.
alter table nengliu.alert add column settled_as_of date;
comment on column nengliu.alert.settled_as_of is 'local day whose assessment resolved it; NULL: a person did, or nobody';
