#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Takes its listening sockets from outside, as from systemd, and answers with its worker number.

sudo lbctl run -n 2 --listen 127.0.0.1:8081,8082 -- python3 tools/examples/listen.py
curl http://127.0.0.1:8081/
"""
import os
import selectors
import signal
import socket
import sys

FIRST = 3  # SD_LISTEN_FDS_START

if os.environ.get("LISTEN_PID") != str(os.getpid()):
    sys.exit("no sockets were handed over: start me with lbctl run --listen")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
selector = selectors.DefaultSelector()
for fd in range(FIRST, FIRST + int(os.environ["LISTEN_FDS"])):
    listener = socket.socket(fileno=fd)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        try:
            connection, _ = key.fileobj.accept()
        except BlockingIOError:
            continue
        with connection:
            connection.settimeout(5)
            try:
                connection.recv(4096)
                worker = os.environ["LBCTL_WORKER"].encode()
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nworker %s\n" % worker)
            except OSError:
                pass
