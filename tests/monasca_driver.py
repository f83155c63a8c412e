"""Runs the Monasca agent's own Prometheus check once against a URL and prints what it would report.

Started in the agent's environment, with the prometheus_client under test first on PYTHONPATH. Prints one
JSON document: the measurements, the version of the parser, and what the check logged as errors.
"""

import importlib.metadata
import json
import logging
import sys

from monasca_agent.collector.checks_d.prometheus import Prometheus


class Errors(logging.Handler):
    def __init__(self):
        super().__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def main():
    errors = Errors()
    logging.getLogger().addHandler(errors)
    instance = {"metric_endpoint": sys.argv[1], "default_dimensions": {}}
    check = Prometheus("prometheus", {}, {}, [instance])
    check.run()
    measurements = [envelope["measurement"] for envelope in check.get_metrics()]
    json.dump({"measurements": measurements, "errors": errors.lines,
               "parser": importlib.metadata.version("prometheus_client")}, sys.stdout)


main()
