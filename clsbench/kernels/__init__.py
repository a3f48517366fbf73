"""Matrix products faster than PyTorch's on some machines; each gives the reason, the measurement and its fallback."""
