"""What is printed: tables that fit the terminal, and the text around them."""
