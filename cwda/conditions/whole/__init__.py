"""The network as a whole: one effect per condition, a verdict, and a sentence."""
