"""The workers of a survey, and the processes in which they have networks measured."""
