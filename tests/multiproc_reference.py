"""What the prometheus_client that PYTHONPATH has makes of a directory itself.

    page DIRECTORY        prints what MultiProcessCollector and generate_latest give
    dead DIRECTORY PID..  mark_process_dead for each
"""

import os
import sys

what, directory, *rest = sys.argv[1:]
# Old versions read it when they are imported, and begin to write when it is set.
os.environ["prometheus_multiproc_dir"] = directory
os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory

from prometheus_client import CollectorRegistry, generate_latest  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # noqa: E402

if what == "page":
    registry = CollectorRegistry()
    MultiProcessCollector(registry, directory)
    sys.stdout.buffer.write(generate_latest(registry))
else:
    for pid in rest:
        mark_process_dead(pid, directory)
