"""A web application that knows nothing of the sidecar."""
import os

from flask import Flask
from prometheus_client import Counter, Gauge, Histogram

app = Flask(__name__)
IMPORTS = Counter("app_imports", "How often the application was loaded")
REQUESTS = Counter("app_requests", "Requests", ["path"])
LATENCY = Histogram("app_latency_seconds", "Latency", buckets=[0.5])
ACTIVE = Gauge("app_active", "Requests in progress", multiprocess_mode="livesum")
IMPORTS.inc()


@app.route("/")
def index():
    with ACTIVE.track_inprogress():
        REQUESTS.labels("/").inc()
        LATENCY.observe(0.1)
        return str(os.getpid())
