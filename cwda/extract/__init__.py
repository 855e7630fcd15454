"""A source of trained weights to a `Network`; nothing in a file is ever executed."""

from cwda.extract.load import ModelName, Source, load
from cwda.extract.load_model import load_model
from cwda.extract.zoo import ZooEntry, available

__all__ = ["ModelName", "Source", "ZooEntry", "available", "load", "load_model"]
