#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A server that joins service "web" (lbctl watch --group) and reports how many requests it has.

LBCTL_SERVICE=web python3 tools/examples/join.py 8080
"""
import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "python"))
import lbctl  # noqa: E402

busy = 0


async def serve(reader, writer):
    global busy
    busy += 1
    await reader.readline()
    body = f"pid {os.getpid()}\n"
    writer.write(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    await writer.drain()
    writer.close()
    busy -= 1


async def main():
    sock = socket.create_server(("", int(sys.argv[1])), reuse_port=True)
    server = await asyncio.start_server(serve, sock=sock)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
    try:
        worker = lbctl.join(sock)
    except (lbctl.Refused, OSError) as error:
        sys.exit(f"can't join: {error.args[-1]}")
    print("worker", worker.number, flush=True)
    while server.is_serving():
        if not worker.report(busy):
            with contextlib.suppress(lbctl.Refused, OSError):  # the keeper is gone for now
                worker = lbctl.join(sock)
        await asyncio.sleep(0.25)


asyncio.run(main())
