"""What builds the book, and the environment that it is built in."""
