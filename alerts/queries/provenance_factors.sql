-- Bring factors back to what they were at a time. Only ever in a transaction that is rolled back.
with unknown as (
    update nengliu.factor_version set superseded_at = recorded_at
    where recorded_at > %(known_at)s and superseded_at is null
    returning factor_id
)
select count(*) from unknown
