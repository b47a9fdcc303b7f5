"""A made-up company whose truth is known: the yardstick of the impact engine, and the second demo. Needs numpy."""
