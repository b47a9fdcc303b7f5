"""The demo: shipped real data and what runs it."""
