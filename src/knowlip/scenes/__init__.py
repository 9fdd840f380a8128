"""One module per product family: open a product, return a Scene."""
