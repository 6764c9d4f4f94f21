"""The language of the house: meters, registers, readings, energy. Pure functions and frozen types, no I/O."""
