"""What is kept: the run directory, which tells the whole experiment and what came of it."""
