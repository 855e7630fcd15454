# The public names: the one list, for the interpreter, type checkers and the reference.
from . import advice as advice
from . import calibration as calibration
from . import callbacks as callbacks
from . import comparison as comparison
from . import conditions as conditions
from . import coupling as coupling
from . import experiment as experiment
from . import figures as figures
from . import population as population
from . import pruning as pruning
from . import reporting as reporting
from . import reproduction as reproduction
from . import scoring as scoring
from . import study as study
from . import surveys as surveys
from . import textbook_tests as textbook_tests
from . import theory as theory
from . import torch_pruning as torch_pruning
from ._version import __version__ as __version__
from .advice import advise as advise
from .callbacks import trajectory as trajectory
from .comparison import applicability as applicability
from .comparison import compare as compare
from .comparison import global_pruning as global_pruning
from .comparison import validity as validity
from .conditions import check as check
from .conditions import condition as condition
from .conditions import contrast as contrast
from .conditions import describe as describe
from .errors import CwdaError as CwdaError
from .layers import ConvLayer as ConvLayer
from .layers import Network as Network
from .loading import load as load
from .loading import load_model as load_model
from .models import accuracy as accuracy
from .models import read_images as read_images
from .pruning import Plan as Plan
from .pruning import export as export
from .pruning import make_plan as make_plan
from .pruning import masked as masked
from .pruning import remove as remove
from .reporting import report as report
from .scoring import criteria as criteria
from .scoring import criterion as criterion
from .scoring import reliability as reliability
from .scoring import scores as scores
from .scoring import similarity as similarity
from .surveys import read_survey as read_survey
from .surveys import survey as survey
from .textbook_tests import textbook as textbook
from .torch_pruning import importance as importance

__all__ = [
    "ConvLayer",
    "CwdaError",
    "Network",
    "Plan",
    "__version__",
    "accuracy",
    "advice",
    "advise",
    "applicability",
    "calibration",
    "callbacks",
    "check",
    "compare",
    "comparison",
    "condition",
    "conditions",
    "contrast",
    "coupling",
    "criteria",
    "criterion",
    "describe",
    "experiment",
    "export",
    "figures",
    "global_pruning",
    "importance",
    "load",
    "load_model",
    "make_plan",
    "masked",
    "population",
    "pruning",
    "read_images",
    "read_survey",
    "reliability",
    "remove",
    "report",
    "reporting",
    "reproduction",
    "scores",
    "scoring",
    "similarity",
    "study",
    "survey",
    "surveys",
    "textbook",
    "textbook_tests",
    "theory",
    "torch_pruning",
    "trajectory",
    "validity",
]
