"""One file per verb, and the list of them."""

from cwda.cli.verb import Verb
from cwda.cli.verbs.advise import advise
from cwda.cli.verbs.applicability import applicability
from cwda.cli.verbs.criteria import criteria
from cwda.cli.verbs.describe import describe
from cwda.cli.verbs.global_pruning import global_pruning
from cwda.cli.verbs.invariances import invariances
from cwda.cli.verbs.laboratory.calibrate import calibrate
from cwda.cli.verbs.laboratory.experiment import experiment
from cwda.cli.verbs.laboratory.reproduce import reproduce
from cwda.cli.verbs.laboratory.study import study
from cwda.cli.verbs.laboratory.train import train
from cwda.cli.verbs.laboratory.validity import validity
from cwda.cli.verbs.models import models
from cwda.cli.verbs.predict import predict
from cwda.cli.verbs.prune import prune
from cwda.cli.verbs.reliability import reliability
from cwda.cli.verbs.report import report
from cwda.cli.verbs.several.contrast import contrast
from cwda.cli.verbs.several.survey import survey
from cwda.cli.verbs.several.trajectory import trajectory
from cwda.cli.verbs.similarity import similarity
from cwda.cli.verbs.test import test

__all__ = ["VERBS"]

#: In the order of `cwda --help`.
VERBS: tuple[Verb, ...] = (
    test,
    contrast,
    describe,
    similarity,
    reliability,
    invariances,
    predict,
    applicability,
    validity,
    global_pruning,
    advise,
    prune,
    trajectory,
    report,
    survey,
    models,
    criteria,
    experiment,
    reproduce,
    study,
    calibrate,
    train,
)
