# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The results of `lb-bench --out DIR`, read and put into tables that know no format."""
import json
import pathlib
import re

# key, heading, digits
COLUMNS = [
    ("rate", "requests/s", 0),
    ("mean_ms", "mean ms", 2),
    ("p50_ms", "p50", 2),
    ("p90_ms", "p90", 2),
    ("p99_ms", "p99", 2),
    ("p99.9_ms", "p99.9", 2),
    ("max_ms", "max", 1),
    ("failed", "failed", 0),
    ("max_over_mean", "max/mean", 2),
    ("open_max_minus_min", "open max - min", 1),
    ("cpu_us", "CPU us", 1),
]
METRIC_WORDS = {
    "rate": "requests/s",
    "failed": "failed requests",
    "failed_not_lost": "failed requests that no dead worker had accepted",
    "max_over_mean": "connections per worker, max/mean",
    "open_max_minus_min": "open connections per worker, max - min",
    "cpu_us": "CPU time per request",
}
HIGHER_IS_BETTER = {"rate"}
MAY_BE_ZERO = {"failed", "open_max_minus_min"}


class Results:
    """scenarios: by name, in order. idle, growth, sweep: None where there is none."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.scenarios = []
        self.idle = self.growth = self.sweep = None
        self.unreadable = []
        for path in sorted(self.directory.glob("*.json")):
            try:
                self._add(json.loads(path.read_text()))
            except (OSError, ValueError) as error:
                self.unreadable.append(f"{path.name}: {error}")
        self.scenarios.sort(key=lambda result: natural_key(result["scenario"]))

    def _add(self, result):
        if not isinstance(result, dict):
            return
        if "scenario" in result and "peers" in result:
            self.scenarios.append(result)
        elif result.get("kind") in ("idle", "growth"):
            setattr(self, result["kind"], result)
        elif "sweep" in result and "by_users" in result:
            self.sweep = result

    def all(self):
        return [r for r in [*self.scenarios, self.sweep, self.idle, self.growth] if r]

    def machines(self):
        """The different machines of the results: more than one means that they don't compare."""
        found = []
        for result in self.all():
            machine = result.get("machine")
            if machine and machine not in found:
                found.append(machine)
        return found


class Table:
    """Cells are text; `left` says how many columns from the left are words."""

    def __init__(self, headings, rows, left=1, note=None):
        self.headings, self.rows, self.left, self.note = headings, rows, left, note


def natural_key(name):
    """S2 before S10, names without a number last."""
    parts = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
    return (len(parts) == 1, [(isinstance(part, str), part) for part in parts])


def metric_words(key):
    return METRIC_WORDS.get(key, key.replace("_ms", " ms"))


def number(value, digits):
    return f"{value:,.{digits}f}"


def interval(bounds, digits=2):
    low, middle, high = bounds
    return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def is_ours(peer):
    return "lbctl" in peer["peer"]


def ran(peer):
    """A peer that failed in a later round keeps the samples that it has, but is not compared."""
    return "missing" not in peer and bool(peer["samples"])


def programs(scenario):
    """The programs that serve, in the order of the peers; only peers of one compare."""
    return list(dict.fromkeys(peer["program"] for peer in scenario["peers"] if ran(peer)))


def peers_of(scenario, program):
    return [p for p in scenario["peers"] if ran(p) and p["program"] == program]


def find_peer(scenario, name):
    return next((p for p in scenario["peers"] if p["peer"] == name), None)


def advantage(scenario, peer):
    """
    How many times better our figure is than the peer's, in the scenario's metric; None where there
    is nothing to compare. Counts that may be 0 are compared with 1 added to each.
    """
    ours = find_peer(scenario, peer["ours"]) if peer["ours"] else None
    if not ours or not ran(ours) or not ran(peer):
        return None
    key = scenario["metric"]
    mine, its = ours["medians"][key], peer["medians"][key]
    if key in MAY_BE_ZERO:
        mine, its = mine + 1, its + 1
    if mine <= 0 or its <= 0:
        return None
    return mine / its if key in HIGHER_IS_BETTER else its / mine


def versions_words(machine):
    return ", ".join(f"{name} {text}" for name, text in machine["versions"].items())


def load_words(scenario):
    if scenario["rate"] > 0:
        load = f"{scenario['rate']:g} requests/s"
    else:
        load = f"{scenario['users']} users"
    if scenario["seconds"] > 0:
        load += f", {scenario['seconds']:g} s"
    return (f"{scenario['workers']} workers; {load}; medians of {scenario['rounds']} round"
            f"{'s' if scenario['rounds'] > 1 else ''}, seed {scenario['seed']}")


def scenario_table(scenario, program):
    peers = peers_of(scenario, program)
    columns = [c for c in COLUMNS if c[0] != "open_max_minus_min"
               or any(p["medians"][c[0]] for p in peers)]
    ours = next((p["ours"] for p in peers if p["ours"]), None)
    headings = [f"{program}: peer"] + [heading for _, heading, _ in columns]
    if ours:
        headings.append(f"{metric_words(scenario['metric'])}: {ours} by it (95 %)")
    rows = []
    for peer in peers:
        row = [peer["peer"]] + [number(peer["medians"][key], d) for key, _, d in columns]
        ratio = peer["ours_by_it"].get(scenario["metric"])
        if ours:
            row.append("1" if peer["peer"] == ours else interval(ratio) if ratio else "-")
        rows.append(row)
    return Table(headings, rows)


def scenario_notes(scenario):
    """What the table does not say: who failed how, what was lost, who is missing."""
    notes = []
    for peer in scenario["peers"]:
        kinds, lost = {}, 0
        for sample in peer["samples"]:
            for kind, count in sample["failed_by_kind"].items():
                kinds[kind] = kinds.get(kind, 0) + count
            lost += sample.get("lost") or 0
        if kinds:
            text = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
            notes.append(f"failed: {peer['peer']}: {text} (in all rounds)")
        if lost:
            notes.append(f"lost: {peer['peer']}: {lost:,} accepted connections, with workers that died")
        if "missing" in peer:
            notes.append(f"missing: {peer['peer']}: {peer['missing']}")
    return notes


def goals_table(scenarios):
    rows = []
    for scenario in scenarios:
        for goal in scenario["goals"]:
            what = f"{metric_words(goal['metric'])}, "
            what += f"{goal['ours']} by {goal['peer']}'s" if goal["ours"] else goal["peer"]
            low, middle, high = goal["got"]
            got = interval(goal["got"]) if low != high else f"{middle:.3g}"
            rows.append([scenario["scenario"], what, f"{goal['is']} {goal['bound']:g}", got,
                         "met" if goal["met"] else "NOT met"])
    return Table(["scenario", "goal", "wanted", "got", ""], rows, left=2)


def idle_table(idle):
    rows = []
    for peer in idle["peers"]:
        if "missing" in peer:
            continue
        row = [peer["peer"]]
        for who in ("keepers", "workers"):
            cost = peer[who]
            row += [str(cost["processes"]), number(cost["wakeups_per_s"], 1),
                    number(cost["cpu_us_per_s"], 0), number(cost["memory_mb"], 1)]
        rows.append(row)
    headings = ["wake-ups/s", "CPU us/s", "MB"]
    return Table(["peer", "processes that keep", *headings, "processes that serve", *headings], rows,
                 note="missing: " + "; ".join(f"{p['peer']}: {p['missing']}" for p in idle["peers"]
                                              if "missing" in p)
                 if any("missing" in p for p in idle["peers"]) else None)


def growth_tables(growth):
    workers = Table(["workers", "attach ms", "detach ms"],
                    [[f"{row['workers']:,}", interval(row["attach_ms"], 0),
                      interval(row["detach_ms"], 0)] for row in growth["workers"]], left=0,
                    note=f"medians of {growth['rounds']} (smallest-largest)")
    runs = Table(["workers", "port", "online s", "CPU s", "reload s", "CPU s", "stop s", "MB"],
                 [[f"{row['workers']:,}", "--listen" if row["listen"] else "bound",
                   *(number(row[key], 2) for key in ("online_s", "online_cpu_s", "reload_s",
                                                     "reload_cpu_s", "stop_s")),
                   number(row["memory_mb"], 0)] for row in growth["runs"]], left=2,
                 note="one run each; CPU time and memory are those of lbctl alone")
    services = Table(["services", "attach ms", "decision, all for one: ns",
                      "decision, all in turn: ns", "connect() to one: us"],
                     [[str(row["services"]), number(row["attach_ms"], 0), interval(row["one_ns"], 0),
                       interval(row["in_turn_ns"], 0), interval(row["connect_us"], 0)]
                      for row in growth["services"]], left=0,
                     note="medians (10th to 90th percentile) of batches; 4 workers a service, rr")
    results = growth["decisions"]["results"]
    variants = list(dict.fromkeys(row["variant"] for row in results))
    by_workers = {}
    for row in results:
        by_workers.setdefault(row["workers"], {})[row["variant"]] = row["median_ns"]
    decisions = Table(["workers", *variants],
                      [[f"{n:,}"] + [number(row[v], 0) if v in row else "-" for v in variants]
                       for n, row in by_workers.items()], left=0,
                      note="ns per decision; empty and fixed are the least that a program costs")
    return [workers, runs, services, decisions]


SIEGE_COLUMNS = [
    ("transactions", "transactions", 0),
    ("availability", "availability %", 2),
    ("elapsed_s", "elapsed s", 2),
    ("megabytes", "MB", 2),
    ("response_ms", "response ms", 2),
    ("transaction_rate", "transactions/s", 2),
    ("throughput", "MB/s", 2),
    ("concurrency", "concurrency", 2),
    ("failed", "failed", 0),
    ("longest_ms", "longest ms", 2),
    ("shortest_ms", "shortest ms", 2),
]


def typical_sample(peer):
    """Of the round whose spread is the median one."""
    samples = sorted(peer["samples"], key=lambda sample: sample["max_over_mean"])
    return samples[(len(samples) - 1) // 2]


def siege_table(scenario):
    """The story's own view: siege's fields and the connections of each worker, of one round."""
    rows = []
    for peer in scenario["peers"]:
        if not ran(peer):
            continue
        sample = typical_sample(peer)
        rows.append([peer["peer"], " ".join(str(n) for n in sample["connections"])]
                    + [number(sample["siege"][key], digits) for key, _, digits in SIEGE_COLUMNS])
    return Table(["peer", "connections per worker", *[heading for _, heading, _ in SIEGE_COLUMNS]],
                 rows, left=2, note="of the round whose spread is the median one")


def sweep_table(sweep):
    rows = [[f"{step['users']:,}", number(step["rate"], 0), number(step["response_ms"], 2),
             number(step["p99_ms"], 2), f"{step['failed']:,}"] for step in sweep["by_users"]]
    knee = sweep["knee"]
    note = f"{sweep['sweep']}; knee: {knee['kind']}"
    if "users" in knee:
        low, high = knee["advised"]
        note += f", at {knee['users']:,} users; advised: {low:,.0f} to {high:,.0f}"
    if "limit" in knee:
        note += f"; lbctl set {sweep['service'] or 'NAME'} limit={knee['limit']}"
    return Table(["users", "requests/s", "mean ms", "p99 ms", "failed"], rows, left=0, note=note)
