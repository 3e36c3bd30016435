#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A plain UDP server: answers each datagram with its worker number and process id.

sudo lbctl run -n 4 --port udp/5353 -- python3 tools/examples/udp.py
for i in 1 2 3 4; do echo hello | nc -u -w 1 127.0.0.1 5353; done
"""
import os
import socket

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 5353))
answer = f"worker {os.environ.get('LBCTL_WORKER', '-')} pid {os.getpid()}\n".encode()
while True:
    _, client = server.recvfrom(65536)
    server.sendto(answer, client)
