"""The sections of a report, a file each: pure functions from records and summary to plain data."""
