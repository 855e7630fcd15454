"""What the verbs that prune show."""
