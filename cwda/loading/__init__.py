"""A source of trained weights becomes a `Network`; nothing in a file is ever executed."""

import lazy_loader

# What is in memory needs no reader of files: those are imported when `load` is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
