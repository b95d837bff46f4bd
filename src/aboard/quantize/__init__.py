"""How the numbers in a format are chosen: methods above plain rounding, and what to keep as it is."""
