#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How well a choice at the SYN can do at all: the cases of S9 in a model.

Four workers that serve one request after the other, Poisson arrivals, no cost for anything else.
  hash    a worker at random
  fewest  the worker with the fewest connections, ties in turn: least-conn without any error
  shared  one queue for all, from which whoever is idle takes the next: a shared socket
No policy can see how long the requests that it spreads will take, so `fewest` is a bound for
least-conn, and what it is behind `shared` is the price of a decision that is made once.

Prints medians over runs of the mean and of the 99th percentile, in ms, and their ratio.
"""
import argparse
import heapq
import random
import statistics

WORKERS = 4
SECONDS = 4  # of a run, as in lb-bench

# name, requests per second, (ms, share) of what they cost
CASES = [
    (f"{case}-{level}", rate, costs)
    for case, rates, costs in (
        (1, (400, 1600, 3000), ((1, 1.0),)),
        (2, (40, 75, 100), ((10, 0.75), (150, 0.25))),
        (4, (15, 40, 50), ((20, 0.7), (200, 0.3))),
    )
    for level, rate in zip(("light", "medium", "heavy"), rates)
]


def arrivals(rng, rate, costs):
    now = 0.0
    while True:
        now += rng.expovariate(rate / 1000)
        if now >= SECONDS * 1000:
            return
        yield now, rng.choices([ms for ms, _ in costs], [share for _, share in costs])[0]


def shared(requests, _rng):
    idle_at = [0.0] * WORKERS
    for at, cost in requests:
        end = max(heapq.heappop(idle_at), at) + cost
        heapq.heappush(idle_at, end)
        yield end - at


def assigned(requests, choose):
    ends = [[] for _ in range(WORKERS)]  # of what each worker has, in order
    for turn, (at, cost) in enumerate(requests):
        for own in ends:
            while own and own[0] <= at:
                own.pop(0)
        own = ends[choose(ends, turn)]
        own.append((own[-1] if own else at) + cost)
        yield own[-1] - at


def hashed(requests, rng):
    return assigned(requests, lambda ends, turn: rng.randrange(WORKERS))


def fewest(requests, _rng):
    return assigned(
        requests,
        lambda ends, turn: min(
            range(WORKERS), key=lambda w: (len(ends[w]), (w - turn) % WORKERS)
        ),
    )


def run(way, rate, costs, seed):
    rng = random.Random(seed)
    took = sorted(way(list(arrivals(rng, rate, costs)), rng)) or [0.0]
    return statistics.mean(took), took[int(0.99 * (len(took) - 1))]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100)
    runs = parser.parse_args().runs
    print(f"{'case':<10} {'hash':>13} {'fewest':>13} {'shared':>13}   fewest by shared")
    for name, rate, costs in CASES:
        medians = []
        for way in (hashed, fewest, shared):
            figures = [run(way, rate, costs, seed) for seed in range(runs)]
            medians.append([statistics.median(column) for column in zip(*figures)])
        columns = "".join(f" {mean:6.1f}/{p99:6.1f}" for mean, p99 in medians)
        ratios = "/".join(f"{a / b:.2f}" for a, b in zip(medians[1], medians[2]))
        print(f"{name:<10}{columns}   {ratios}")


if __name__ == "__main__":
    main()
