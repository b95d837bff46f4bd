"""How families of models write calls down, one file for each, and the table that finds them."""
