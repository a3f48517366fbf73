"""What the records mean: curves over seeds, and what later pages ask of them."""
