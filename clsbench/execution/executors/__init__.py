"""Where units are trained: each executor is `run(units, work) -> Iterator[Event]`."""
