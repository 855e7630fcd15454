"""The report on a survey: many networks, from the answer to what failed."""
