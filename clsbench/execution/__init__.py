"""Execution: trains the stacks of a plan and yields events that hold plain numbers."""
