select exists (select from api.reading where meter = any (%(meters)s))
