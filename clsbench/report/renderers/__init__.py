"""What shows a document: the terminal and the figures."""
