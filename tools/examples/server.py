#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A plain HTTP server; on SIGTERM it ends what it has begun, then itself.

sudo lbctl run -n 4 -- python3 tools/examples/server.py
curl http://127.0.0.1:8000/
"""
import http.server
import os
import signal
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"worker {os.environ.get('LBCTL_WORKER', '-')} pid {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # server_close() waits for requests that were begun


if __name__ == "__main__":
    server = Server(("", 8000), Handler)
    # shutdown() waits for serve_forever(), which runs in this thread
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()
