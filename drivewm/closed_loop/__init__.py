"""Closed loop: environments that react, episodes driven in them, and the record of how they went."""
