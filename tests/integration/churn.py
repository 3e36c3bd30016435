# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""churn.py PROCESSES: so many that open a listening socket of port 8080 and close it, without end,
beside two that serve."""
import os
import socket
import sys
import time


def listen():
    s = socket.socket()
    s.bind(("", 8080))
    s.listen(100)
    return s


def serve(s):
    while True:
        s.accept()[0].close()


first = listen()
if not os.fork():
    serve(listen())
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        while True:
            s = listen()
            time.sleep(0.05)
            s.close()
serve(first)
