"""Executors, which train units: each is `run(units, work) -> Iterator[Event]`."""
