"""Hostile messages: what wrong, broken and ill-meant gateways send, each with what must become of it.

One file a family; a class is a row of its family's table `KINDS`. Generators are pure: the same seed gives the same
bytes. Written from contracts and standards, never from the decoders.
"""
