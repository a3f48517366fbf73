"""Renderers of documents: the terminal and the figures."""
