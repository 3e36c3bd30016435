# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
Pictures by gnuplot, each as SVG and as PNG. Colours are Okabe and Ito's, which the colour-blind can
tell apart (Color Universal Design, 2008); the heat map goes from orange over white to blue.
"""
import math
import re
import shutil
import subprocess
import textwrap

import report_data as data

BLUE, BLACK = "#0072B2", "#000000"
OTHERS = ["#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#999999"]
PEER = "#E69F00"
MOST_BARS = 16  # of a peer: more say nothing
FASTEST, SLOWEST = 1, 99.95  # percent, the ends of the axis
CELL = 50, 34  # of the heat map, pixels
CHARACTER = 8  # about, pixels
CLAMP = 2  # doublings at which the heat map's colours end

SETUP = """
set encoding utf8
set border 3 lc rgb "#666666"
set tics nomirror
set grid ytics lc rgb "#dddddd" lt 1
"""


def available():
    return shutil.which("gnuplot") is not None


def quote(text):
    """A string of gnuplot that is shown as it is, in enhanced mode too."""
    plain = re.sub(r"([_^{}@&~])", r"\\\1", text.replace("\\", "/"))
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def draw(path, width, height, script):
    """Writes PATH.svg and PATH.png; gnuplot says what it does not like."""
    terminals = {
        "svg": f'svg size {width},{height} dynamic enhanced font "sans-serif,13" '
               f'background "#ffffff" name "p"',
        "png": f'pngcairo size {width},{height} enhanced font "sans-serif,10"',
    }
    for ending, terminal in terminals.items():
        text = f'set terminal {terminal}\nset output "{path}.{ending}"\n{SETUP}{script}\n'
        subprocess.run(["gnuplot", "-"], input=text, text=True, check=True)
    return path.parent / f"{path.name}.svg"


def block(name, rows):
    lines = "\n".join(" ".join(str(cell) for cell in row) for row in rows)
    return f"${name} << EOD\n{lines}\nEOD\n"


def title(scenario):
    return "\n".join(textwrap.wrap(f"{scenario['scenario']}: {scenario['title']}", 66))


# --- spread per worker ---


def draw_bars(path, heading, bars):
    """bars: (name, ours, connections per worker). The busiest worker comes first."""
    bars = [(name, ours, sorted(counts, reverse=True)) for name, ours, counts in bars
            if counts and sum(counts) and len(counts) <= MOST_BARS]
    if not bars:
        return None
    rows, tics, x = [], [], 0
    for name, ours, counts in bars:
        mean = sum(counts) / len(counts)
        tics.append(f"{quote(name)} {x + (len(counts) - 1) / 2}")
        for count in counts:
            rows.append((x, round(count / mean, 4), int(BLUE[1:] if ours else PEER[1:], 16)))
            x += 1
        x += 1.5
    top = max(row[1] for row in rows)
    return draw(path, max(640, min(1240, 160 + int(13 * x))), 430, f"""
{block("bars", rows)}
set title {quote(heading)} font ",14"
set style fill solid 1.0 noborder
set boxwidth 0.86
set key top right reverse Left samplen 1.5 opaque
set xrange [-1.2:{x - 1.3}]
set yrange [0:{max(1.3, top * 1.2)}]
set ylabel "connections, as shares of an even spread"
set xtics rotate by 35 right scale 0 ({", ".join(tics)})
set rmargin 3
set arrow from graph 0,first 1 to graph 1,first 1 nohead lc rgb "#444444" dt 2 front
plot $bars using 1:2:3 with boxes lc rgb variable notitle, \\
	NaN with boxes lc rgb "{BLUE}" title "steered by lbctl", \\
	NaN with boxes lc rgb "{PEER}" title "others"
""")


def draw_spread(path, scenario):
    return draw_bars(path, title(scenario),
                     [(peer["peer"], data.is_ours(peer), data.typical_sample(peer)["connections"])
                      for peer in scenario["peers"] if data.ran(peer)])


# --- latencies ---


def tail(percent):
    """Where a percentile is on an axis that has as much room for each further nine."""
    return -math.log10(1 - percent / 100)


def our_style(name, others):
    """least-conn, the policy of those that name none, is blue and rr black in every picture."""
    if name.endswith("-rr"):
        return f'lw 2.6 dt 1 lc rgb "{BLACK}"'
    if name.endswith(("-least-conn", "-run", "-lbctl")):
        return f'lw 2.6 dt 1 lc rgb "{BLUE}"'
    return f'lw 2.2 dt {2 + others // 2} lc rgb "{BLACK if others % 2 else BLUE}"'


def line_styles(peers):
    """Ours are thick and blue or black, the others thin; dashes where the colours end."""
    dashed = others = 0
    styles = []
    for peer in peers:
        if data.is_ours(peer):
            styles.append(our_style(peer["peer"], dashed))
            dashed += "dt 1 " not in styles[-1]
        else:
            styles.append(f'lw 1.6 dt {1 + others // len(OTHERS)} '
                          f'lc rgb "{OTHERS[others % len(OTHERS)]}"')
            others += 1
    return styles


def key_rows(peers):
    return (peers + 1) // 2


def latency_panel(scenario, program, number):
    peers = [p for p in data.peers_of(scenario, program) if p.get("latency_ms")]
    if not peers:
        return None
    blocks, plots, times = "", [], []
    for i, (peer, style) in enumerate(zip(peers, line_styles(peers))):
        rows = [(ms, round(tail(percent), 4)) for percent, ms in peer["latency_ms"]
                if FASTEST <= percent <= SLOWEST and ms > 0]
        times += [ms for ms, _ in rows]
        blocks += block(f"p{number}_{i}", rows)
        plots.append(f'$p{number}_{i} using 1:2 with lines {style} title {quote(peer["peer"])}')
    return blocks, f"""
set title {quote("program: " + program)} font ",12"
set key at graph 0.5,graph -0.2 center top reverse Left maxrows {key_rows(len(peers))}
set xrange [{min(times) * 0.9}:{max(times) * 1.1}]
plot {", ".join(plots)}
"""


def draw_latency(path, scenario):
    panels = [latency_panel(scenario, program, i) for i, program in enumerate(data.programs(scenario))]
    panels = [panel for panel in panels if panel]
    if not panels:
        return None
    tics = ", ".join(f'"{percent:g} %%" {tail(percent):.4f}' for percent in (0, 50, 90, 99, 99.9))
    rows = max(key_rows(len(data.peers_of(scenario, p))) for p in data.programs(scenario))
    return draw(path, max(420 * len(panels) + 20, 640), 400 + 20 * rows, f"""
{"".join(blocks for blocks, _ in panels)}
set key samplen 2.5 spacing 1.1
set bmargin {4 + 1.3 * rows}
set logscale x
set xtics add autofreq
set format x "%g"
set grid xtics ytics lc rgb "#dddddd" lt 1
set xlabel "response time, ms"
set ylabel "answered within"
set yrange [0:{tail(SLOWEST)}]
set ytics ({tics})
set multiplot layout 1,{len(panels)} title {quote(title(scenario))} font ",14"
{"".join(plot for _, plot in panels)}
unset multiplot
""")


# --- heat map ---


def columns_of(scenarios):
    """(peer's name, program), programs together."""
    found = {}
    for scenario in scenarios:
        for peer in scenario["peers"]:
            if data.ran(peer):
                found.setdefault(peer["peer"], peer["program"])
    order = list(dict.fromkeys(found.values()))
    return sorted(found.items(), key=lambda item: order.index(item[1]))


def cell(scenario, name):
    """(doublings, text) or None."""
    peer = data.find_peer(scenario, name)
    times = data.advantage(scenario, peer) if peer else None
    if times is None:
        return None
    if peer["peer"] == peer["ours"]:
        text = "ours"
    elif times < 0.1:
        text = f"1/{1 / times:,.0f}"
    else:
        text = f"{times:.2f}" if times < 9.95 else f"{times:,.0f}"
    return max(-CLAMP, min(CLAMP, math.log2(times))), text


def draw_heat(path, scenarios):
    columns = columns_of(scenarios)
    cells, lines = [], []
    for y, scenario in enumerate(scenarios):
        for x, (name, _) in enumerate(columns):
            found = cell(scenario, name)
            if found:
                dark = 0xFFFFFF if abs(found[0]) > 1.4 else 0
                cells.append((x, y, round(found[0], 3), quote(found[1]), dark))
    if not cells:
        return None
    for x in range(1, len(columns)):
        if columns[x][1] != columns[x - 1][1]:
            lines.append(f"set arrow from {x - 0.5},graph 0 to {x - 0.5},graph 1 nohead "
                         'lw 2 lc rgb "#666666" front')
    rows = [f"{s['scenario']}: {data.metric_words(s['metric'])}" for s in scenarios]
    xtics = ", ".join(f"{quote(name)} {x}" for x, (name, _) in enumerate(columns))
    ytics = ", ".join(f"{quote(row)} {y}" for y, row in enumerate(rows))
    left = 20 + CHARACTER * max(map(len, rows))
    below = 30 + CHARACTER * max(len(name) for name, _ in columns) * 2 // 3
    right, bottom = left + CELL[0] * len(columns), below + CELL[1] * len(scenarios)
    width, height = max(right + 180, 640), max(bottom, below + 150) + 60
    return draw(path, width, height, f"""
{block("cells", cells)}
set label "How many times better lbctl's figure is than the peer's" \\
	at screen 0.5, screen {1 - 25 / height} center font ",14"
set lmargin at screen {left / width}
set rmargin at screen {right / width}
set bmargin at screen {below / height}
set tmargin at screen {bottom / height}
set colorbox user origin screen {(right + 20) / width}, screen {below / height} \\
	size screen {20 / width}, screen {(max(bottom, below + 150) - below) / height}
unset key
unset grid
set border 0
set style fill solid 1.0 border rgb "#ffffff"
set object 1 rectangle from graph 0,0 to graph 1,1 behind fc rgb "#e6e6e6" fs noborder
set palette defined (-2 "#a6480d", -1 "#ec9b4f", 0 "#ffffff", 1 "#79b4dc", 2 "#0b558f")
set cbrange [-{CLAMP}:{CLAMP}]
set cbtics ("4 times worse" -2, "2 times worse" -1, "equal" 0, "2 times better" 1, \\
	"4 times better" 2) scale 0
set xrange [-0.5:{len(columns) - 0.5}]
set yrange [{len(scenarios) - 0.5}:-0.5]
set xtics rotate by 40 right scale 0 ({xtics})
set ytics scale 0 ({ytics})
{chr(10).join(lines)}
plot $cells using 1:2:($1-0.5):($1+0.5):($2-0.5):($2+0.5):3 with boxxyerror lc palette, \\
	$cells using 1:2:4:5 with labels font ",10" tc rgb variable
""")


# --- growth ---


VARIANT_STYLES = {  # colour, dashes
    "empty": ("#999999", 2),
    "fixed": ("#999999", 1),
    "kernel": ("#999999", 3),
    "rr": (BLACK, 1),
    "random": (OTHERS[3], 1),
    "hash": (OTHERS[4], 1),
    "least-conn": (BLUE, 1),
    "least-load": (OTHERS[0], 1),
    "least-load, all stale": (OTHERS[0], 2),
    "least-latency": (OTHERS[1], 1),
    "limit": (OTHERS[2], 1),
}


def draw_decisions(path, decisions):
    series = {}
    for row in decisions["results"]:
        series.setdefault(row["variant"], []).append((row["workers"], row["median_ns"]))
    floors = ["empty", "fixed"]
    names = floors + sorted(set(series) - set(floors), key=lambda name: -series[name][-1][1])
    blocks, plots = "", []
    for i, name in enumerate(name for name in names if name in series):
        blocks += block(f"d{i}", series[name])
        colour, dash = VARIANT_STYLES.get(name, (OTHERS[i % len(OTHERS)], 3))
        plots.append(f'$d{i} using 1:2 with linespoints lw 2 pt {4 + i} ps 0.9 dt {dash} '
                     f'lc rgb "{colour}" title {quote(name)}')
    return draw(path, 860, 440, f"""
{blocks}
set title "What a decision takes inside the kernel" font ",14"
set logscale x 2
set key outside right center reverse Left samplen 2.2 spacing 1.2
set xlabel "workers"
set ylabel "ns per decision, median"
set yrange [0:*]
set xtics ({", ".join(str(n) for n, _ in series["fixed"])})
plot {", ".join(plots)}
""")


def draw_attach(path, growth):
    rows = [(row["workers"], *row["attach_ms"], *row["detach_ms"]) for row in growth["workers"]]
    return draw(path, 640, 360, f"""
{block("rows", rows)}
set title "lbctl attach and detach, whole commands" font ",14"
set logscale x 2
set key top left reverse Left
set xlabel "workers"
set ylabel "ms, median and range"
set yrange [0:*]
set xtics ({", ".join(str(row[0]) for row in rows)})
plot $rows using 1:3:2:4 with yerrorbars lw 2 pt 7 lc rgb "{BLUE}" title "lbctl attach", \\
	$rows using 1:3 with lines lw 2 lc rgb "{BLUE}" notitle, \\
	$rows using 1:6:5:7 with yerrorbars lw 2 pt 5 lc rgb "{PEER}" title "lbctl detach", \\
	$rows using 1:6 with lines lw 2 lc rgb "{PEER}" notitle
""")
