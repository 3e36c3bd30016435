# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Join a service of lbctl, and tell it how busy this worker is. Pure Python, on Linux.

    worker = lbctl.join(listening_socket, service="web")
    ...
    worker.report(len(open_connections))    # for policy least-load, at least twice a second

The socket is TCP, bound to the service's address with SO_REUSEPORT, and listens. The service's
keeper (`lbctl run` or `lbctl watch`) puts it into the service; this takes no privileges. What goes
over its socket is in lbctl-json(5), "CONTROL SOCKET".
"""
import array
import json
import mmap
import os
import re
import socket
import time

__all__ = ["Refused", "Worker", "join"]

_SEND_FDS = hasattr(socket, "send_fds")  # Python 3.9
_ENTRY = 64  # bytes of lb_load for each slot: load, times of report and heartbeat, 2 counts, closed
_LOAD, _REPORTED, _HEARTBEAT, _CLOSED = 0, 1, 2, 5
_MOST_LOAD = 2**63 - 1
_AGAIN_S = 0.05


class Refused(Exception):
    """The keeper said no. `status` is an exit status of lbctl(8); `again`: for a moment only."""

    def __init__(self, text, status=1, again=False):
        super().__init__(text)
        self.status = status
        self.again = again


class _Page:
    """The worker's entry of lb_load, which the kernel reads: a report is three stores."""

    def __init__(self, fd, slot):
        at = slot * _ENTRY
        page = at - at % mmap.PAGESIZE
        self._map = mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_SHARED, offset=page)
        self._entry = memoryview(self._map)[at - page : at - page + _ENTRY].cast("Q")

    def store(self, load):
        if self._entry[_CLOSED]:
            return False
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        if load is not None:
            self._entry[_LOAD] = load
        self._entry[_HEARTBEAT] = now
        if load is not None or self._entry[_REPORTED]:
            self._entry[_REPORTED] = now
        return True

    def close(self):
        self._entry.release()
        self._map.close()


class _Messages:
    """The same through the keeper, where there is no page."""

    def __init__(self, connection):
        self._connection = connection
        connection.setblocking(False)

    def store(self, load):
        try:
            self._connection.send(json.dumps({"heartbeat": True} if load is None else {"load": load}).encode())
            self._connection.recv(4096)
        except BlockingIOError:
            return True
        except OSError:
            return False
        # only a report that is refused has an answer
        return False

    def close(self):
        self._connection.close()


class Worker:
    """A socket in a service: from join(). Its socket leaves when it is closed."""

    def __init__(self, answer, way):
        self.number = answer["worker"]
        self.slot = answer["slot"]
        self._way = way

    def report(self, load):
        """Says how loaded the worker is, a whole number, in any unit that all workers have and that
        grows by about one per connection. False: the service, or this socket's place in it, is no
        more; join again."""
        if not 0 <= load <= _MOST_LOAD:
            raise ValueError("a load is a whole number from 0")
        return self._way.store(int(load))

    def heartbeat(self):
        """The last report still holds. False as of report()."""
        return self._way.store(None)

    def close(self):
        """No more reports. To be called when the listening socket is closed, at the latest: its
        place may be another worker's then."""
        self._way.close()


def _connect(service, timeout):
    path = f"/run/lbctl/{service}.sock"
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(timeout)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        causes = {
            FileNotFoundError: f"no keeper of {service} at {path}; lbctl run or lbctl watch {service} starts one",
            ConnectionRefusedError: f"the keeper of {service} is dead ({path}); start it again",
            PermissionError: f"may not connect to {path}: the keeper of {service} admits root, its own user, "
            "the user of run --user and --group",
        }
        raise type(error)(error.errno, causes.get(type(error), f"{path}: {error}")) from None
    return connection


def _answer(connection):
    """The next answer, with the descriptor that came along, or -1."""
    fds = array.array("i")
    size = socket.CMSG_SPACE(fds.itemsize)
    try:
        data, parts, _, _ = connection.recvmsg(4096, size, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # it has hung up on what it had not read; its answer is behind that
        data, parts, _, _ = connection.recvmsg(4096, size, socket.MSG_CMSG_CLOEXEC)
    for level, kind, value in parts:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(value[: fds.itemsize])
    fd = fds[0] if fds else -1
    answer = json.loads(data) if data else {"status": 1, "text": "the keeper went away", "again": True}
    if answer["status"]:
        if fd >= 0:
            os.close(fd)
        raise Refused(answer["text"], answer["status"], answer.get("again", False))
    return answer, fd


def _question(connection, question, fds=()):
    data = json.dumps(question).encode()
    try:
        if fds:
            socket.send_fds(connection, [data], fds)
        else:
            connection.send(data)
    except BrokenPipeError:  # it has sent us away, and says why
        pass
    return _answer(connection)


def _ask(connection, fd, worker):
    asks = {} if worker is None else {"worker": worker}
    if not _SEND_FDS:
        return _question(connection, {"join": {"fd": fd, **asks}})
    # a keeper that is stopped must not have it: it would keep the queue from moving
    _question(connection, {"verb": "hello"})
    return _question(connection, {"verb": "join", **asks}, [fd])


def _number_of(service):
    text = os.environ.get("LBCTL_WORKER", "")
    return int(text) if service == os.environ.get("LBCTL_SERVICE") and re.fullmatch(r"\d{1,4}", text) else None


def _way(connection, load_fd, slot):
    if load_fd >= 0:
        try:
            page = _Page(load_fd, slot)
            connection.close()
            return page
        except OSError:  # a sandbox that forbids it
            pass
        finally:
            os.close(load_fd)
    return _Messages(connection)


def join(listening, service=None, worker=None, timeout=5.0):
    """Puts a listening socket into a service, and returns its Worker. `service` is LBCTL_SERVICE
    of the environment and `worker` LBCTL_WORKER, where they are not given. Raises Refused, or
    OSError where no keeper can be asked, both with the reason in words. Joining again with the same
    socket gives the same place."""
    service = service or os.environ.get("LBCTL_SERVICE", "")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", service):
        raise ValueError("no name of a service was given, by LBCTL_SERVICE neither, or it is none")
    worker = _number_of(service) if worker is None else worker
    end = time.monotonic() + timeout
    while True:
        connection = _connect(service, timeout)
        try:
            answer, load_fd = _ask(connection, listening.fileno(), worker)
            break
        except BaseException as error:
            connection.close()
            if not getattr(error, "again", False) or time.monotonic() > end:
                raise
        time.sleep(_AGAIN_S)
    return Worker(answer, _way(connection, load_fd, answer["slot"]))
