# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""prefork.py WORKERS [own|shared]: a server of port 8080 that makes its workers itself, each with a
listening socket of its own, or all with one. Answers say which worker it was. One that ends is
replaced. HUP: replaces all, one after the other, the new one first. TERM: ends all."""
import os
import select
import signal
import socket
import sys

WORKERS = int(sys.argv[1])
SHARED = sys.argv[2:] == ["shared"]
OURS = {signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM}
ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nX-Worker: %d\r\nContent-Length: 0\r\n\r\n"

children = {}  # pid -> number


def listen():
    s = socket.socket()
    s.bind(("", 8080))
    s.listen(100)
    return s


def answer(s, number):
    try:
        c = s.accept()[0]
    except OSError:
        return  # another one has it
    c.setblocking(True)
    if c.recv(1000):
        c.send(ANSWER % number)
    c.close()


def serve(number, s, ready):
    end, told = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(told, b"1"))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    s.setblocking(False)
    poll = select.epoll()
    poll.register(s, select.EPOLLIN)
    poll.register(end, select.EPOLLIN)
    os.write(ready, b"1")
    while True:
        for fd, _ in poll.poll():
            if fd == end:
                s.close()
                os._exit(0)
            answer(s, number)


def start(number):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        serve(number, shared or listen(), writing)
    children[pid] = number
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)


def replace_all():
    for pid, number in list(children.items()):
        start(number)
        del children[pid]
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def reap():
    for pid in list(children):
        if os.waitpid(pid, os.WNOHANG)[0]:
            start(children.pop(pid))


signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
shared = listen() if SHARED else None
for n in range(WORKERS):
    start(n)
while True:
    got = signal.sigwait(OURS)
    if got == signal.SIGHUP:
        replace_all()
    if got == signal.SIGTERM:
        for child in children:
            os.kill(child, signal.SIGTERM)
        for child in children:
            os.waitpid(child, 0)
        sys.exit(0)
    reap()
