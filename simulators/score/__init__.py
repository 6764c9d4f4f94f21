"""The platform's figures scored against the truth of a simulated run; see docs/truth.md."""
