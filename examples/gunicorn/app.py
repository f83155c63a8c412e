"""A web shop's front page, instrumented with plain prometheus_client; it knows nothing of the sidecar."""
import os
import random
import time

from flask import Flask, Response, g, request
from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("http_requests", "Answered requests", ["route", "method", "status"])
LATENCY = Histogram("http_request_duration_seconds", "Time to answer a request", ["route"])
IN_PROGRESS = Gauge("http_requests_in_progress", "Requests being answered", multiprocess_mode="livesum")

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
    return Response("ordered\n", status=201)
