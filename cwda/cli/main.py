"""Entry points: the group of all verbs, and `cwda-test`."""

from __future__ import annotations

import click

from cwda._version import __version__
from cwda.cli.verb import Group
from cwda.cli.verbs import VERBS
from cwda.cli.verbs.test import test

__all__ = ["cwda", "cwda_test"]


@click.group(
    cls=Group,
    commands=VERBS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(__version__, prog_name="cwda")
def cwda() -> None:
    """Do a network's convolution weights follow the CWDA of Huang et al. (2021)?

    \b
    Shell completion (bash; zsh and fish likewise):
      eval "$(_CWDA_COMPLETE=bash_source cwda)"
      eval "$(_CWDA_TEST_COMPLETE=bash_source cwda-test)"
    """


#: `cwda test` under a name of its own.
cwda_test = test
