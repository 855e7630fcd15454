"""The networks of a report among those of a survey."""
