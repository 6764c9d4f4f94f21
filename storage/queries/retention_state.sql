select nullif(floor_ts, '-infinity'), nullif(dropped_before, '-infinity'), chunks, readings, applied_at
from nengliu.retention
