"""The run directory, which holds the whole experiment and its results."""
