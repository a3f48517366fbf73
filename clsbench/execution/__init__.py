"""Where it runs: a plan in, a stream of events out. Events carry plain numbers; nobody else trains."""
