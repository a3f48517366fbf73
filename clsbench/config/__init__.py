"""What was asked: the experiment's schema, the reader that knows lines and columns, and the plan."""
