"""Networks as values: what they are made of, what they cost; the standard library only."""
