"""The configuration: the experiment's schema, the reader that reports lines and columns, and the plan."""
