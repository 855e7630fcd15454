"""Speed and memory, beside those of peers: `python -m benchmarks`."""

import os

# As the commands of the package do, before torch is loaded: its threads, waiting for their next
# task, would else take the cores from ours. It holds for the peers as well.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
