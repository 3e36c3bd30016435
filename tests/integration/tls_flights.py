# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""tls_flights.py serve PORT MS CERT KEY: answers the first request of each connection after MS, by TLS
1.2 or, after the tickets that OpenSSL sends when a handshake ends, a segment each, 1.3.
tls_flights.py at_once PORT N: N connections by TLS 1.3, whose handshake ends in one segment with the
request, so that the tickets follow that.
tls_flights.py like_hello PORT: takes a session of TLS 1.2 up again, until the sealed record that ends the
handshake begins with the byte that a client's hello begins with; only that connection has a request."""
import socket
import ssl
import sys
import time

REQUEST = b"GET / HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
CHANGE_CIPHER = 6  # bytes of that record, which comes before the sealed one
RECORD_HEAD = 5
CLIENT_HELLO = 1


def serve(port, ms, cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", int(port)))
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with context.wrap_socket(connection, server_side=True) as client:
                if client.recv(1024):
                    time.sleep(int(ms) / 1000)
                    client.sendall(ANSWER)
        except OSError:
            connection.close()


class Client:
    """What is to be sent waits in to_send."""

    def __init__(self, port, context, session=None):
        self.received, self.to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.tls = context.wrap_bio(self.received, self.to_send, session=session)

    def until_done(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.socket.sendall(self.to_send.read())
                self.received.write(self.socket.recv(65536))

    def ask(self):
        self.tls.write(REQUEST)
        assert self.until_done(lambda: self.tls.read(1024)) == ANSWER


def context_of(version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    return context


def at_once(port, number):
    context = context_of(ssl.TLSVersion.TLSv1_3)
    for _ in range(int(number)):
        client = Client(int(port), context)
        client.until_done(client.tls.do_handshake)
        client.ask()
        client.socket.close()


def like_hello(port):
    context = context_of(ssl.TLSVersion.TLSv1_2)
    session = None
    while True:
        client = Client(int(port), context, session)
        client.until_done(client.tls.do_handshake)
        last = client.to_send.read()
        assert client.tls.session_reused == bool(session)
        if session and last[CHANGE_CIPHER + RECORD_HEAD] == CLIENT_HELLO:
            client.socket.sendall(last)
            client.ask()
            return
        session = session or client.tls.session
        client.socket.close()


{"serve": serve, "at_once": at_once, "like_hello": like_hello}[sys.argv[1]](*sys.argv[2:])
