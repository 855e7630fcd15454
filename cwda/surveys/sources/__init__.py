"""What a survey is given becomes one source per network."""
