"""The dataflow graph of a model, and what it costs to run."""

from cwda.tracing.cost import Cost, Latency, count, latency

__all__ = ["Cost", "Latency", "count", "latency"]
