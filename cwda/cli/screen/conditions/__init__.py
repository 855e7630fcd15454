"""What is printed of conditions: layers, textbook tests, two networks."""
