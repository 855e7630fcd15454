from .networks import load as load
from .runnable import load_model as load_model
from .source import ModelName as ModelName
from .source import Source as Source

__all__ = ["ModelName", "Source", "load", "load_model"]
