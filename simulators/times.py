"""Times as the text that messages carry."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metering.records import Ints


def local_texts(ts_us: Ints, timezone: str) -> list[str]:
    """int64[n] microseconds since the epoch as RFC 3339 text with the offset of `timezone`, whole seconds."""
    utc = pd.DatetimeIndex(ts_us.astype("datetime64[us]"), tz="UTC")
    local = utc.tz_convert(timezone).tz_localize(None).to_numpy().astype("datetime64[s]")
    minutes = (local.astype(np.int64) - ts_us // 1_000_000) // 60
    offsets = {
        int(m): f"{'-' if m < 0 else '+'}{abs(int(m)) // 60:02d}:{abs(int(m)) % 60:02d}"
        for m in np.unique(minutes)
    }
    return [
        t + offsets[m] for t, m in zip(np.datetime_as_string(local).tolist(), minutes.tolist(), strict=True)
    ]
