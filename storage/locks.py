"""Advisory locks of the database, each with one number."""

from __future__ import annotations

#: Shared by every transaction that reads the registry to judge or place readings; exclusive at an import's
#: commit.
REGISTRY = 0x6E656E67_00000001
#: Held by an import of the registry from its start to its commit: one after the other.
REGISTRY_IMPORT = 0x6E656E67_00000002
#: Held by the one worker that looks for findings.
FINDINGS = 0x6E656E67_00000003
#: Held by the one `simulate load` that runs on a platform.
SIMULATED_LOAD = 0x6E656E67_00000004
#: Held by the one worker that judges clocks.
CLOCKS = 0x6E656E67_00000005
#: Held by the one worker that looks for changes of level.
LEVELS = 0x6E656E67_00000006
#: Held by whoever takes in conversion factors: one after the other.
FACTORS = 0x6E656E67_00000007
#: Held by the sender that chooses what is sent next, so that what one address gets within an hour is counted right.
NOTIFICATIONS = 0x6E656E67_00000008
