update nengliu.retention set floor_ts = %(floor)s where floor_ts < %(floor)s
