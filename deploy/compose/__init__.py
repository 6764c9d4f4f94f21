"""The stack from vendors' images: compose.yaml, and what its one-shot containers run."""
