"""A load of messages on a broker: a process that publishes them, and the registry of their meters."""
