"""The parameters of the rules that judge registers and the steps between them, and where they are set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from metering.items import is_item_code, item_prefixes
from metering.meters import above_zero, named, refuse

#: Where a parameter may be set, the weakest first: an item (and all that begin with it), a meter model, a point.
SCOPES = ("item", "model", "point")


@dataclass(frozen=True, slots=True)
class Rules:
    """Parameters of validation, set for an item, a meter model or a point, else these (docs/decisions/validation.md).

    rated_margin: energy of a step may exceed what the rated power allows by this factor (MOHURD guidelines 2008, from
    memory). rate_margin: where no rated power is known, the usual rate around. still_days: for so long a point must
    never have stood still for standing still to be doubtful, and no longer may it last. unsure_days: standing still
    that no fitting jump ends is a finding only up to so long: longer, it is a season without load. balance_over:
    sub-meters may show more than their total by this part of it; balance_loss: and less by this part (1: no matter how
    much).
    """

    rated_margin: float = 2.0
    rate_margin: float = 10.0
    still_days: float = 28.0
    unsure_days: float = 28.0
    balance_over: float = 0.05
    balance_loss: float = 1.0


#: As shipped for some items: heat and cooling stand still whenever they are not wanted.
SHIPPED: Mapping[str, Mapping[str, float]] = {"04": {"unsure_days": 0.01}, "05": {"unsure_days": 0.01}}


def rule_names() -> tuple[str, ...]:
    """The parameters that can be set."""
    return tuple(f.name for f in fields(Rules))


def rules_from(values: Mapping[str, float]) -> Rules:
    """Rules with these parameters, the others as shipped. Raises ImpossibleError where a name or value cannot be."""
    refuse(
        [
            problem
            for name, value in values.items()
            for problem in (_name_problem(name), above_zero(name, value))
        ]
    )
    return Rules(**values)


def _name_problem(name: str) -> str | None:
    return None if name in rule_names() else f"rule {name!r} is not one of {', '.join(rule_names())}"


@dataclass(frozen=True)
class RuleSetting:
    """One parameter set for an item, a meter model or a point; value None: no longer set. Raises ImpossibleError."""

    scope: str
    key: str
    rule: str
    value: float | None
    note: str | None = None

    def __post_init__(self) -> None:
        refuse(
            [
                None if self.scope in SCOPES else f"scope {self.scope!r} is not one of {', '.join(SCOPES)}",
                named("key", self.key),
                f"key {self.key!r} is no energy item, such as 01, 01A or 01B1A"
                if self.scope == "item" and not is_item_code(self.key)
                else None,
                _name_problem(self.rule),
                above_zero(f"value of {self.rule}", self.value),
            ]
        )


class RuleBook:
    """Which rules judge a register: a point beats a model beats the longest item beats what is shipped."""

    def __init__(self, settings: Iterable[RuleSetting] = ()) -> None:
        self._set: dict[tuple[str, str], dict[str, float]] = {}
        for s in settings:
            if s.value is not None:
                self._set.setdefault((s.scope, s.key), {})[s.rule] = s.value
        self._known: dict[tuple[str, str | None, str | None], Rules] = {}

    def of(self, item_code: str, model: str | None, point_code: str) -> Rules:
        """The rules for a register of a meter of `model` (None: not known) at a point of `item_code`."""
        asked = item_code, model, point_code if ("point", point_code) in self._set else None
        if asked not in self._known:
            self._known[asked] = self._found(*asked)
        return self._known[asked]

    def _found(self, item_code: str, model: str | None, point_code: str | None) -> Rules:
        places = [("item", prefix) for prefix in item_prefixes(item_code)]
        places += [
            (scope, key) for scope, key in (("model", model), ("point", point_code)) if key is not None
        ]
        values: dict[str, float] = dict(SHIPPED.get(item_code[:2], {}))
        for place in places:
            values |= self._set.get(place, {})
        return rules_from(values)
