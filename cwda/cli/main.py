"""Entry points; each verb is a module of its own, imported only when it runs."""

from __future__ import annotations

import copy

import click

from cwda._version import __version__
from cwda.cli.verb import Group
from cwda.cli.verbs.applicability import applicability
from cwda.cli.verbs.calibrate import calibrate
from cwda.cli.verbs.criteria import criteria
from cwda.cli.verbs.global_pruning import global_pruning
from cwda.cli.verbs.models import models
from cwda.cli.verbs.predict import predict
from cwda.cli.verbs.prune import prune
from cwda.cli.verbs.report import report
from cwda.cli.verbs.similarity import similarity
from cwda.cli.verbs.study import study
from cwda.cli.verbs.test import cwda_test
from cwda.cli.verbs.train import train

__all__ = ["cwda", "cwda_test"]


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cwda")
def cwda() -> None:
    """Do a network's convolution weights follow the CWDA of Huang et al. (2021)?

    \b
    Shell completion (bash; zsh and fish likewise):
      eval "$(_CWDA_COMPLETE=bash_source cwda)"
      eval "$(_CWDA_TEST_COMPLETE=bash_source cwda-test)"
    """


_test = copy.copy(cwda_test)
_test.name = "test"  # the name that its help shows
cwda.add_command(_test)
cwda.add_command(similarity)
cwda.add_command(predict)
cwda.add_command(applicability)
cwda.add_command(global_pruning)
cwda.add_command(report)
cwda.add_command(models)
cwda.add_command(criteria)
cwda.add_command(calibrate)
cwda.add_command(study)
cwda.add_command(train)
cwda.add_command(prune)
