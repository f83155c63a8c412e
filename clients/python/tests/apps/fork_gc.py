"""Burns processor time and collects garbage in a parent and, less, in its child."""
import gc
import os
import sys
import time

import monasca_sidecar
import prometheus_client  # noqa: F401


def burn(seconds):
    while time.process_time() < seconds:
        pass


gc.disable()
for _ in range(50):
    gc.collect()
burn(0.35)
monasca_sidecar.start()
child = os.fork()
if child == 0:
    for _ in range(3):
        gc.collect()
    burn(0.15)
    sys.exit(0)
os.waitpid(child, 0)
