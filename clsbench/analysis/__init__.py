"""Analysis of the records: curves over seeds, statistics, verdicts and expectations."""
