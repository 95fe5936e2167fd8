"""What the code says: names, imports, classes and functions, as plain records without trees."""
