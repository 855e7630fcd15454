"""Thousands of networks: from sources to tables, on one machine or on a cluster."""

import lazy_loader

# Neither Dask nor torch is imported before it is needed: workers have their own processes.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
