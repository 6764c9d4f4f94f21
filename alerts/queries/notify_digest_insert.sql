insert into nengliu.notification (key, kind, severity, name, language, channel, address, route)
values (%(key)s, 'digest', %(severity)s, %(name)s, %(language)s, %(channel)s, %(address)s, %(route)s)
returning notification_id
