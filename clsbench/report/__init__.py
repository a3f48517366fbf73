"""Reports: the terminal and figures."""
