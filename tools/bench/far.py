#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""far.py: clients far away, as a relay between two network namespaces has each packet wait.

Who is idle at a SYN need not be so a round trip later, when the handshake ends. Four workers that
serve one request after the other: the kernel's hash, one shared socket (EPOLLEXCLUSIVE), and
least-conn of lbctl run without and with waiting for an idle worker. As root, after `make`.
"""
import argparse
import ctypes
import fcntl
import heapq
import json
import os
import select
import signal
import statistics
import struct
import subprocess
import tempfile
import time

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../build')
CLIENTS, SERVER = 'lbctl-far-clients', 'lbctl-far-server'
ADDRESS = '10.99.0.2:8080'
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000
CLONE_NEWNET = 0x40000000
MTU = 65535
# nine requests in ten take 2 ms, the others 150
URLS = ['/busy?us=2000'] * 9 + ['/busy?us=150000']


def ip(*words):
    subprocess.run(['ip', *words], check=True)


def inside(netns, *words):
    return ['nsenter', f'--net=/run/netns/{netns}', *words]


def open_tun(netns):
    """A TUN device "far" in this namespace, which its other end stays outside of."""
    with open(f'/run/netns/{netns}', encoding='ascii') as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f'setns {netns}')
    tun = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack('16sH', b'far', IFF_TUN | IFF_NO_PI))
    return tun


def relay(delay, ready):
    """What one end sends comes out of the other one so many seconds later."""
    tuns = [open_tun(CLIENTS), open_tun(SERVER)]
    waiting, count = [], 0
    os.close(ready)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, tun, packet = heapq.heappop(waiting)
            os.write(tun, packet)
        timeout = max(0, waiting[0][0] - now) if waiting else None
        for tun in select.select(tuns, [], [], timeout)[0]:
            packet = os.read(tun, MTU)
            count += 1
            heapq.heappush(waiting, (time.monotonic() + delay, count, tuns[tun == tuns[0]], packet))


def start_relay(delay):
    done, ready = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(done)
        relay(delay, ready)
    os.close(ready)
    os.read(done, 1)
    os.close(done)
    for netns, address in (CLIENTS, '10.99.0.1/24'), (SERVER, '10.99.0.2/24'):
        ip('-n', netns, 'addr', 'add', address, 'dev', 'far')
        ip('-n', netns, 'link', 'set', 'lo', 'up')
        ip('-n', netns, 'link', 'set', 'far', 'up')
    return pid


WORKER = [f'{BUILD}/lbctl-demo-worker', '--quiet', '--listen', ADDRESS]
RUN = [f'{BUILD}/lbctl', 'run', '-n', '4', '--name', 'far', '--policy', 'least-conn', '--']
PEERS = {
    'hash': WORKER + ['-n', '4'],
    'exclusive': WORKER + ['-n', '4', '--shared', '--exclusive'],
    'lbctl-now-least-conn': RUN + WORKER,
    'lbctl-least-conn': RUN + WORKER,
}


def measure(peer, options, urls):
    with subprocess.Popen(inside(SERVER, *PEERS[peer]), stdout=subprocess.DEVNULL,
                          start_new_session=True) as server:
        try:
            time.sleep(2)
            if peer == 'lbctl-now-least-conn':
                subprocess.run([f'{BUILD}/lbctl', 'set', 'far', 'hold_ms=0'], check=True,
                               stdout=subprocess.DEVNULL)
            load = [f'{BUILD}/lb-bench', 'load', '--rate', str(options.rate), '--poisson', '-i',
                    '-t', f'{options.seconds}S', '--json', '-q', '-f', urls]
            done = subprocess.run(inside(CLIENTS, *load), check=False, stdout=subprocess.PIPE)
            return json.loads(done.stdout)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n\n')[0])
    parser.add_argument('--rtt-ms', type=float, default=100)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=int, default=8)
    parser.add_argument('--rate', type=int, default=120, help='requests per second')
    options = parser.parse_args()
    results, relay_pid = {peer: [] for peer in PEERS}, 0
    with tempfile.NamedTemporaryFile('w', suffix='.urls') as urls:
        urls.writelines(f'http://{ADDRESS}{path}\n' for path in URLS)
        urls.flush()
        try:
            ip('netns', 'add', CLIENTS)
            ip('netns', 'add', SERVER)
            relay_pid = start_relay(options.rtt_ms / 2000)
            for _ in range(options.rounds):
                for peer, result in results.items():
                    result.append(measure(peer, options, urls.name))
        finally:
            if relay_pid:
                os.kill(relay_pid, signal.SIGTERM)
                os.waitpid(relay_pid, 0)
            for netns in CLIENTS, SERVER:
                subprocess.run(['ip', 'netns', 'del', netns], check=False)
    print(f'round trip {options.rtt_ms:g} ms, {options.rate} requests/s; medians of '
          f'{options.rounds} rounds (smallest-largest), ms')
    print(f'{"PEER":22}{"mean":>22}{"p50":>22}{"p99":>22}{"failed":>8}')
    for peer, result in results.items():
        cells = []
        for values in ([one['response_ms'] for one in result],
                       [one['percentiles_ms']['p50'] for one in result],
                       [one['percentiles_ms']['p99'] for one in result]):
            cells.append(f'{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})')
        failed = sum(one['failed'] for one in result)
        print(f'{peer:22}' + ''.join(f'{cell:>22}' for cell in cells) + f'{failed:>8.0f}')


main()
