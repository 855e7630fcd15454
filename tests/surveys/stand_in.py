"""A child that computes nothing, and does what the name of its source says.

``python stand_in.py FOLDER`` speaks the protocol of `cwda.surveys.workers.child` without its
imports. The folder that STAND_IN names holds ``parts.pickle``, the parts of a network without
layers, and gets a line in ``log.txt`` for each network that is measured.
"""

import hashlib
import os
import pickle
import signal
import sys
import time
from pathlib import Path

from cwda.surveys.workers.tasks import Reply

HERE = Path(os.environ.get("STAND_IN", "."))  # a collector of doctests has none


def behave(name):
    """Whatever may go wrong in a process."""
    if "hang" in name:
        time.sleep(60)
    if "crash" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "quit" in name:
        sys.exit("no such library")
    if "eat" in name:
        kept = [bytearray(os.urandom(1 << 20)) * 16 for _ in range(40)]
        time.sleep(60 * len(kept))
    if "once" in name and not (HERE / "died").exists():
        (HERE / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "slow" in name:
        time.sleep(0.3)


def answer(task):
    name = Path(task.source).name
    content = Path(task.source).read_bytes() or name.encode()
    facts = {"name": name, "hash": hashlib.sha256(content).hexdigest(), "n_layers": 1}
    if task.level is None:
        return Reply("done", facts=facts, cost=1.0)
    behave(name)
    with open(HERE / "log.txt", "a") as log:
        log.write(f"{ascii(name)[1:-1]}\n")
    parts = pickle.loads((HERE / "parts.pickle").read_bytes())  # noqa: S301 (a test wrote it)
    return Reply("done", facts=facts, parts=parts)


def main():
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    pickle.dump("ready", out)
    out.flush()
    while True:
        try:
            task = pickle.load(sys.stdin.buffer)  # noqa: S301 (a test wrote it)
        except EOFError:
            return
        pickle.dump(answer(task), out)
        out.flush()


if __name__ == "__main__":
    main()
