"""How far a forecast may be off: the table of bands, at the width that a series' own past errors ask for.

Pure functions over arrays of S series. The method and what it is worth: docs/decisions/forecast.md.
"""

from __future__ import annotations

import numpy as np

from alerts.days import YEAR_DAYS, Floats
from alerts.parameters import Band, BandParameters

#: Share of the year that comes after each of its days.
SHARE_AFTER = 1.0 - np.arange(1, YEAR_DAYS + 1) / YEAR_DAYS


def own_scale(past_errors: Floats, band: Band, p: BandParameters) -> Floats:
    """Length S: by what the logarithms of the table's quantiles are to be multiplied; 1 without past errors.

    past_errors: S x years x 366, ln(actual / expected) of the energy after each day, NaN where unknown
    (forecast.Model). The scale is the root mean square of the errors in half-widths of the table, a past year
    counting as one and the table as `prior_years` years of errors of exactly its half-width.
    """
    judged = p.min_share <= SHARE_AFTER
    low, high = band.quantiles(SHARE_AFTER[judged])
    off = np.minimum(np.abs(past_errors[:, :, judged]) / ((high - low) / 2), p.most)
    square = np.nansum(off**2, axis=(1, 2)) / judged.sum()
    years = np.isfinite(off).sum(axis=(1, 2)) / judged.sum()
    known = p.prior_years + years
    ratio = np.divide(p.prior_years + square, known, out=np.ones_like(known), where=known > 0)
    return np.asarray(np.sqrt(ratio))
