"""A web shop that runs prometheus_client in multiprocess mode, as it did before there was a sidecar.

Its own /metrics is what such applications have: a worker reads the files of all workers and merges them. The sidecar
makes it unnecessary; it is left here to compare the two.
"""
import os
import random
import time

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("http_requests", "Answered requests", ["route", "method", "status"])
LATENCY = Histogram("http_request_duration_seconds", "Time to answer a request", ["route"])
IN_PROGRESS = Gauge("http_requests_in_progress", "Requests being answered", multiprocess_mode="livesum")
LAST_ORDER = Gauge("shop_last_order_timestamp_seconds", "When the last order came", multiprocess_mode="max")

app = Flask(__name__)


@app.before_request
def begin() -> None:
    g.began = time.perf_counter()
    IN_PROGRESS.inc()


@app.after_request
def end(response: Response) -> Response:
    route = str(request.url_rule or "none")
    REQUESTS.labels(route, request.method, response.status_code).inc()
    LATENCY.labels(route).observe(time.perf_counter() - g.began)
    return response


@app.teardown_request
def leave(_: object) -> None:
    IN_PROGRESS.dec()


@app.get("/")
def index() -> str:
    return f"answered by process {os.getpid()}\n"


@app.get("/work")
def work() -> str:
    time.sleep(random.uniform(0.001, 0.02))
    return "done\n"


@app.post("/orders")
def order() -> Response:
    LAST_ORDER.set_to_current_time()
    return Response("ordered\n", status=201)


@app.get("/metrics")
def metrics() -> Response:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
