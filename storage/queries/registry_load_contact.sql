select scope as site_code, name, language, channel, address, severity_from
from nengliu.contact order by scope, name, channel, address
