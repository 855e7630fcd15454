from .networks import load as load
from .runnable import load_model as load_model
from .sources import ModelName as ModelName
from .sources import Source as Source

__all__ = ["ModelName", "Source", "load", "load_model"]
