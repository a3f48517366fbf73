"""What is shown: the terminal, figures for a paper, the page."""
