-- Every stored reading, as a binary stream.
copy (select series_id, ts, value from nengliu.reading) to stdout (format binary)
