"""The parts of `scripts/faults.py`: each does one kind of harm many times and counts the outcomes."""
