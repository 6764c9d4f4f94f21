"""What can go wrong when somebody is told."""

from __future__ import annotations

from metering.errors import NengliuError


class DeliveryError(NengliuError):
    """A notification was not taken. for_good: another attempt is of no use; route_is_down: nothing else would get
    through there now either; after_s: when the other side wants to be asked again.
    """

    def __init__(
        self,
        problem: str,
        *,
        for_good: bool = False,
        route_is_down: bool = False,
        after_s: float | None = None,
    ) -> None:
        super().__init__(problem)
        self.for_good = for_good
        self.route_is_down = route_is_down
        self.after_s = after_s
