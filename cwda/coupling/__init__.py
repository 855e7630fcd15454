"""Which filters must be pruned together, found in the graph of the model."""

from cwda.coupling.couple import couple
from cwda.coupling.coupling import Coupling

__all__ = ["Coupling", "couple"]
