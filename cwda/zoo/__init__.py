"""Names of trained networks, and the files that they stand for."""

from cwda.zoo.names import ZooEntry, available

__all__ = ["ZooEntry", "available"]
