-- Every dead letter of the gateways, as a binary stream: digests of topic and bytes (first 64 bits of SHA-256), the number
-- of its reason from 0, its id.
copy (
    select ('x' || left(encode(sha256(convert_to(source_topic, 'UTF8')), 'hex'), 16))::bit(64)::int8,
           array_position(%(reasons)s::text[], reason) - 1,
           ('x' || left(encode(sha256(payload), 'hex'), 16))::bit(64)::int8,
           reject_id
    from nengliu.reject
    where gateway = any(%(gateways)s)
) to stdout (format binary)
