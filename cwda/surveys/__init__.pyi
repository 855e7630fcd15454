from .result import Survey as Survey
from .result import read_survey as read_survey
from .run import survey as survey
from .tables import TABLES as TABLES
from .tables import LayerFacts as LayerFacts
from .tables import NetworkRecord as NetworkRecord

__all__ = ["TABLES", "LayerFacts", "NetworkRecord", "Survey", "read_survey", "survey"]
