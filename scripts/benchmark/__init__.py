"""The parts of `bench.py`: what is measured, against what, and how it is reported."""
