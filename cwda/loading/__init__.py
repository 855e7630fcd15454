"""A source of trained weights to a `Network`; nothing in a file is ever executed."""

from cwda.loading.load import ModelName, Source, load
from cwda.loading.load_model import load_model

__all__ = ["ModelName", "Source", "load", "load_model"]
