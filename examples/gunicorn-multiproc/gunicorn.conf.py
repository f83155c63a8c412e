"""Four workers that are replaced all the time, to show that the numbers do not mind."""
import os

from prometheus_client import multiprocess

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = 4
max_requests = 500
max_requests_jitter = 50


def child_exit(server, worker):
    # Tells everybody who reads the directory that this worker's live gauges count no more.
    multiprocess.mark_process_dead(worker.pid)
