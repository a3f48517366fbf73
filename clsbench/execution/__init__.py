"""Execution: trains the stacks of a plan and yields events that hold plain numbers."""

from typing import Literal

Executor = Literal["local", "ray"]

RETRIES = 3  # of a trial whose process or node is lost
