# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The Python program of lb-bench, for gunicorn: says which worker answered, as lbctl-demo-worker
# does. /busy?us=N, BENCH_WORK_US of CPU time and, for worker 0, BENCH_SLOW_US of sleep hold the
# whole worker up.
import os
import time

WORK_S = int(os.environ.get("BENCH_WORK_US", "0")) / 1e6
SLOW_S = int(os.environ.get("BENCH_SLOW_US", "0")) / 1e6


def work(worker):
    """What each request costs."""
    end = time.process_time() + WORK_S
    while WORK_S and time.process_time() < end:
        continue
    if worker == "0" and SLOW_S:
        time.sleep(SLOW_S)


def app(environ, start_response):
    worker = os.environ.get("LBCTL_WORKER") or os.environ.get("BENCH_WORKER", "0")
    work(worker)
    if environ["PATH_INFO"] == "/busy":
        time.sleep(int(environ["QUERY_STRING"].removeprefix("us=")) / 1e6)
    body = f"worker {worker} pid {os.getpid()}\n".encode()
    start_response("200 OK", [("X-Worker", worker), ("Content-Length", str(len(body)))])
    return [body]


def post_fork(_server, worker):
    """gunicorn's hook: workers that share a socket are counted from 0."""
    os.environ["BENCH_WORKER"] = str(worker.age - 1)
