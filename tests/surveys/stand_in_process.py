"""Processes of a survey whose children are stand-ins.

``python stand_in_process.py cwda survey ...`` runs the command, ``... worker ADDRESS`` a worker of
Dask, ``... old-worker ADDRESS`` one with another version of cwda, ``... scheduler FILE`` a
scheduler that writes its address.
"""

import sys
from pathlib import Path

from cwda.surveys.workers import worker

STAND_IN = [sys.executable, str(Path(__file__).with_name("stand_in.py"))]


def main(what, *arguments):
    worker.COMMAND = STAND_IN
    if what == "cwda":
        from cwda.cli.main import cwda

        cwda(list(arguments), standalone_mode=True)
    elif what == "scheduler":
        from distributed.cli.dask_scheduler import main as run

        run(
            ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", *arguments]
        )
    else:
        from distributed.cli.dask_worker import main as run

        if what == "old-worker":
            worker.__version__ = "0.0.1"
        plain = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--memory-limit", "0"]
        run([*arguments, *plain])


if __name__ == "__main__":
    main(*sys.argv[1:])
