"""Property tests search at random by hand, and the same cases each time where a landing depends on them. How long a
case takes is the machine's business.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
