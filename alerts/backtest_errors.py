"""What forecasts of past years were worth: rows of `Backtest.run` against what came, and against plainer forecasts."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: Plain forecasts that the method must beat, as columns of `Backtest.run`.
PLAIN = ("last_total", "run_rate", "last_shape")


def scores(found: pd.DataFrame) -> pd.DataFrame:
    """One row a forecast, all as shares of the year's true use but the last two.

    forecast and the three plain ones: absolute error; pinball_p10, _p50, _p90: pinball loss; width: p90 - p10;
    below, inside: 1 where the year came out below p10, or within p10 to p90.
    """
    total = found["total"]
    columns = {"forecast": (found["p50"] / total - 1).abs()}
    columns |= {name: (found[name] / total - 1).abs() for name in PLAIN}
    for name, q in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
        over = total - found[name]
        columns[f"pinball_{name}"] = np.maximum(q * over, (q - 1) * over) / total
    columns["width"] = (found["p90"] - found["p10"]) / total
    columns["below"] = (total < found["p10"]).astype(np.float64)
    columns["inside"] = total.between(found["p10"], found["p90"]).astype(np.float64)
    return pd.DataFrame(columns)


def errors(found: pd.DataFrame, by: pd.Series | None = None) -> pd.DataFrame:
    """Means of `scores` by the values of `by` (default: the month at whose end the forecast was made), and over all.

    The mean of an absolute error is the MAPE, of `inside` the coverage of the band.
    """
    each = scores(found)
    table = each.groupby(found["as_of"].dt.month.rename("month") if by is None else by).mean()
    table.index = table.index.map(str)
    table.loc["all"] = each.mean()
    return table
