"""What verdicts and estimates hang on beyond the readings beside them. Pure.

Energy of an hour mostly hangs on the readings around it alone. Where a verdict was needed, or a typical load was
learnt, a dependency says which other times it hangs on, so that a late change there derives it again. See
docs/decisions/validation.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

#: On what a dependency hangs: readings that change; hours derived again for that; hours derived again for those; and
#: any of these hours of the point or of its children.
ON_READINGS, ON_VERDICTS, ON_LOADS, ON_CHILDREN = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Energy of register_ix in [from_us, to_us] hangs on what is in [on_from_us, on_to_us]; columns of equal length.

    level: ON_READINGS to ON_CHILDREN; [anchor_from_us, anchor_to_us]: the step that it is about.
    """

    register_ix: Ints
    level: Ints
    anchor_from_us: Ints
    anchor_to_us: Ints
    from_us: Ints
    to_us: Ints
    on_from_us: Ints
    on_to_us: Ints

    def __len__(self) -> int:
        return len(self.register_ix)

    @classmethod
    def of(cls, rows: Iterable[tuple[int, ...]]) -> Dependencies:
        """From rows of its columns."""
        table = np.array(list(rows), dtype=np.int64).reshape(-1, 8).T
        return cls(*(column.copy() for column in table))

    def joined(self, other: Dependencies) -> Dependencies:
        """These and the other ones."""
        return Dependencies(
            *(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self))
        )

    def take(self, chosen: npt.NDArray[np.bool_]) -> Dependencies:
        """Those that a mask chooses."""
        return Dependencies(*(getattr(self, f.name)[chosen] for f in fields(self)))
