"""Latency: of exported networks, measured, and of a whole space, from measured operations."""
