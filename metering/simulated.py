"""What tells a simulated gateway from a real one that may be beside it."""

from __future__ import annotations

#: What the names of gateways begin with that only a simulation knows.
SIMULATED = "simulated-"
