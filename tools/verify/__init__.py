"""What checks that the book says what is so."""
