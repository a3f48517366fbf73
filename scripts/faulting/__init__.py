"""The parts of `scripts/faults.py`: each injects one kind of fault many times and counts the outcomes."""
