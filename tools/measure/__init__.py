"""What is measured outside of `make test`: speeds, and libraries that are not dependencies."""
