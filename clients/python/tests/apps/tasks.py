"""A celery application over a file system broker."""
import os
import pathlib

import monasca_sidecar
from celery import Celery
from prometheus_client import Counter

root = pathlib.Path(os.environ["CELERY_ROOT"])
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": str(root / "queue"),
    "data_folder_out": str(root / "queue"),
    "control_folder": str(root / "control"),
    "polling_interval": 0.1,
}
TASKS = Counter("tasks_done", "Tasks done")
IMPORTS = Counter("tasks_imports", "Imports")
IMPORTS.inc()
if os.environ.get("CELERY_START"):
    monasca_sidecar.start()


@app.task
def work():
    TASKS.inc()
    (root / "done" / os.urandom(8).hex()).touch()
