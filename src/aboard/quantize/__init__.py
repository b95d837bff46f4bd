"""How the numbers in a format are chosen: methods beyond rounding, and what is kept as it is."""
