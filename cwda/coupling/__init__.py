"""Which filters must be pruned together, found in the graph of the model."""

from cwda.coupling.couple import Coupling, couple

__all__ = ["Coupling", "couple"]
