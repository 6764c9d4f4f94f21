"""What goes wrong where, when and how hard: scenario files, and what faults do to readings and messages."""
