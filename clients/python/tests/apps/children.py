"""Processes of the standard library. Arguments: start method, kind of children."""
import concurrent.futures
import multiprocessing
import sys

import monasca_sidecar
from prometheus_client import Counter

COUNTER = Counter("jobs", "Jobs")


def work(count):
    COUNTER.inc(count)
    return count


def nested(count):
    COUNTER.inc(count)
    child = multiprocessing.Process(target=work, args=(count,))
    child.start()
    child.join()


def processes(context):
    children = [context.Process(target=nested, args=(5,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()


def pool(context):
    workers = context.Pool(3)
    workers.map(work, [1] * 40, chunksize=1)
    workers.close()
    workers.join()


def executor(context):
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as workers:
        list(workers.map(work, [1] * 40))


def main():
    method, kind = sys.argv[1:]
    COUNTER.inc(2)
    {"processes": processes, "pool": pool, "executor": executor}[kind](multiprocessing.get_context(method))


if __name__ == "__main__":
    monasca_sidecar.start()
    main()
elif __name__ == "__mp_main__":
    # A spawned interpreter, or the server that forks for it, imports this file under another name.
    monasca_sidecar.start()
