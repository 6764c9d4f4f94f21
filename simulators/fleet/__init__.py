"""Sites with meters whose loads look real, from a seed: who there is (plan), what they use (loads)."""
