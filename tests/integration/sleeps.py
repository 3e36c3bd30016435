# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""sleeps.py PORT MS: sleeps for MS, accepts a connection, answers it at once, and so on."""
import socket
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nX-Worker: 0\r\nContent-Length: 0\r\n\r\n"

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    time.sleep(int(sys.argv[2]) / 1000)
    client, _ = listener.accept()
    with client:
        client.recv(1024)
        client.sendall(ANSWER)
