#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
report.py DIR: makes one page, DIR/report.html, of what `lb-bench --out DIR` wrote there: tables,
pictures (DIR/*.svg and *.png, by gnuplot), machine, versions, commands, goals. The page needs
nothing else. What is not there is left out. --markdown prints the tables instead, for a README.
Exit status: 0 done, 1 failed, 2 usage.
"""
import argparse
import html
import pathlib
import re
import subprocess
import sys

sys.dont_write_bytecode = True  # nothing is written into the source tree

import report_data as data
import report_pictures as pictures

STYLE = """
body { font: 15px/1.45 sans-serif; color: #222; background: #fff; max-width: 1280px;
	margin: 2em auto; padding: 0 1em }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 2.2em; border-bottom: 1px solid #ccc }
table { border-collapse: collapse; margin: .8em 0; font-size: 13px }
th, td { padding: .22em .6em; text-align: right; white-space: nowrap }
th { background: #eef1f4; font-weight: 600 } tr:nth-child(even) td { background: #f8f8f8 }
th.words, td.words { text-align: left } .scroll { overflow-x: auto }
tr.ours td { font-weight: 600 } .met { color: #00614a } .missed { color: #a33c00; font-weight: 600 }
figure { margin: 1em 0 } figure svg { max-width: 100%; height: auto }
figcaption, .note { color: #555; font-size: 13px } code { background: #f2f2f2; padding: 0 .25em }
"""


# --- formats of a table ---


def html_table(table):
    def cells(tag, texts):
        kind = ' class="words"'
        return "".join(f"<{tag}{kind if i < table.left else ''}>{html.escape(text)}</{tag}>"
                       for i, text in enumerate(texts))

    rows = ""
    for row in table.rows:
        ours = ' class="ours"' if "lbctl" in row[0] else ""
        rows += f"<tr{ours}>{cells('td', row)}</tr>\n"
    rows = rows.replace("<td>met</td>", '<td class="met">met</td>')
    rows = rows.replace("<td>NOT met</td>", '<td class="missed">NOT met</td>')
    note = f'<p class="note">{html.escape(table.note)}</p>\n' if table.note else ""
    return (f'<div class="scroll"><table>\n<tr>{cells("th", table.headings)}</tr>\n'
            f"{rows}</table></div>\n{note}")


def markdown_table(table):
    def line(cells):
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    rule = ["---" if i < table.left else "---:" for i in range(len(table.headings))]
    note = f"\n{table.note}\n" if table.note else ""
    return line(table.headings) + line(rule) + "".join(line(row) for row in table.rows) + note + "\n"


# --- pictures in the page ---


def inline_svg(path):
    """An SVG as part of a page: without its head, and with ids that no other picture has."""
    text = path.read_text()
    text = re.sub(r"\s+xmlns(:\w+)?=(\"[^\"]*\"|'[^']*')", "", text[text.index("<svg"):])
    text = text.replace("xlink:href", "href")
    prefix = re.sub(r"[^A-Za-z0-9]", "-", path.stem)
    reference = re.compile(r"(href=[\"']#|url\(#)([\w-]+)")
    used = {match[1] for match in reference.findall(text)}
    text = reference.sub(rf"\g<1>{prefix}-\g<2>", text)
    return re.sub(r"\sid=([\"'])(.*?)\1",
                  lambda id: f' id="{prefix}-{id[2]}"' if id[2] in used else "", text)


def figure(path, caption):
    if path is None:
        return ""
    return (f"<figure>\n{inline_svg(path)}<figcaption>{html.escape(caption)}</figcaption>\n"
            "</figure>\n")


class Artist:
    """Draws, or gives None for each picture where there is no gnuplot."""

    def __init__(self, directory):
        self.directory, self.able = directory, pictures.available()

    def __call__(self, draw, name, *args):
        return draw(self.directory / name, *args) if self.able else None


# --- sections ---


def machine_section(results):
    parts = ["<h2>Machine</h2>\n"]
    machines = results.machines()
    if len(machines) > 1:
        parts.append('<p class="missed">These results are of different machines or versions: '
                     "they don't compare with each other.</p>\n")
    for machine in machines:
        parts.append(html_table(data.Table(["", ""], [
            ["kernel", f"Linux {machine['kernel']}"],
            ["processors", f"{machine['cpus']} {machine['cpu']}"],
            ["memory", f"{machine['memory_mb']:,} MB"],
            ["versions", data.versions_words(machine)],
        ], left=2)))
    return "".join(parts)


def commands_section(results):
    rows = []
    for result in results.all():
        if "command" in result:
            took = f"{result['elapsed_s']:.0f} s" if "elapsed_s" in result else ""
            name = result.get("scenario") or result.get("kind", "")
            rows.append([name, result["command"], result.get("began", ""), took])
    table = data.Table(["", "command", "began", "took"], rows, left=3)
    return f"<h2>Commands</h2>\n{html_table(table)}"


def goals_section(results):
    table = data.goals_table(results.scenarios)
    if not table.rows:
        return ""
    met = sum(row[-1] == "met" for row in table.rows)
    return f"<h2>Goals: {met} of {len(table.rows)} met</h2>\n{html_table(table)}"


def heat_section(results, artist):
    path = artist(pictures.draw_heat, "heat", results.scenarios) if results.scenarios else None
    return figure(path, "How many times better lbctl's figure is than the peer's, in the metric that "
                        "matters most in the scenario; blue: lbctl is better, orange: the peer is. "
                        "Each peer is compared with the one of ours that serves with the same "
                        "program. Of counts that may be 0, 1 is added to both. Grey: not run, or nothing of "
                        "ours to compare with.")


def scenario_section(scenario, artist):
    name = scenario["scenario"]
    parts = [f'<h2 id="{name}">{name}: {html.escape(scenario["title"])}</h2>\n',
             f"<p>{html.escape(data.load_words(scenario))}</p>\n"]
    for program in data.programs(scenario):
        parts.append(html_table(data.scenario_table(scenario, program)))
    if name == "story":
        parts.append(html_table(data.siege_table(scenario)))
    parts += [f'<p class="note">{html.escape(note)}</p>\n' for note in data.scenario_notes(scenario)]
    parts.append(figure(artist(pictures.draw_spread, f"{name}-spread", scenario),
                        "Connections of each worker, the busiest first, in the round whose spread "
                        "is the median one; 1 is an even share. Workers that are named by pid "
                        "(nginx) are others after a reload or a kill."))
    parts.append(figure(artist(pictures.draw_latency, f"{name}-latency", scenario),
                        "Response times over all rounds: further up is a larger share of the "
                        "requests, further left is faster."))
    return "".join(parts)


def growth_section(growth, artist):
    workers, runs, services, decisions = map(html_table, data.growth_tables(growth))
    return "".join([
        "<h2>Growth</h2>\n<h3>A decision, by workers and policy</h3>\n", decisions,
        figure(artist(pictures.draw_decisions, "growth-decisions", growth["decisions"]),
               "What a decision takes inside the kernel, by its own count."),
        "<h3>attach and detach, by workers</h3>\n", workers,
        figure(artist(pictures.draw_attach, "growth-attach", growth), "The whole command."),
        "<h3>lbctl run, by workers</h3>\n", runs,
        "<h3>By services on the host</h3>\n", services,
    ])


def sweep_section(sweep, directory):
    picture = directory / "sweep.svg"
    return "".join(["<h2>More and more users</h2>\n",
                    figure(picture if picture.exists() else None, sweep["sweep"]),
                    html_table(data.sweep_table(sweep))])


def make_page(results):
    artist = Artist(results.directory)
    parts = [goals_section(results), heat_section(results, artist)]
    parts += [scenario_section(scenario, artist) for scenario in results.scenarios]
    if results.sweep:
        parts.append(sweep_section(results.sweep, results.directory))
    if results.idle:
        parts.append("<h2>Nobody comes</h2>\n" + html_table(data.idle_table(results.idle)))
    if results.growth:
        parts.append(growth_section(results.growth, artist))
    parts += [machine_section(results), commands_section(results)]
    if not artist.able:
        parts.append("<p>No gnuplot, hence no pictures: tools/deps.sh bench installs it.</p>\n")
    parts += [f'<p class="missed">not read: {html.escape(text)}</p>\n' for text in results.unreadable]
    return ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f"<title>lb-bench</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            f"<h1>lbctl and its peers, side by side</h1>\n{''.join(parts)}</body>\n</html>\n")


def make_markdown(results):
    parts = []
    for machine in results.machines():
        parts.append(f"Linux {machine['kernel']}, {machine['cpus']} CPUs ({machine['cpu']}); "
                     f"{data.versions_words(machine)}\n\n")
    for scenario in results.scenarios:
        parts.append(f"**{scenario['scenario']}: {scenario['title']}**; "
                     f"{data.load_words(scenario)}:\n\n")
        parts += [markdown_table(data.scenario_table(scenario, program))
                  for program in data.programs(scenario)]
        if scenario["scenario"] == "story":
            parts.append(markdown_table(data.siege_table(scenario)))
        parts += [f"- {note}\n" for note in data.scenario_notes(scenario)] + ["\n"]
    tables = [data.goals_table(results.scenarios)]
    if results.sweep:
        tables.append(data.sweep_table(results.sweep))
    if results.idle:
        tables.append(data.idle_table(results.idle))
    if results.growth:
        tables += data.growth_tables(results.growth)
    return "".join(parts) + "".join(markdown_table(table) for table in tables if table.rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIR", type=pathlib.Path)
    parser.add_argument("--markdown", action="store_true", help="print tables instead")
    options = parser.parse_args()
    results = data.Results(options.directory)
    for text in results.unreadable:
        print(f"report.py: not read: {text}", file=sys.stderr)
    if not results.all():
        print(f"report.py: no results in {options.directory}; lb-bench S1 --out "
              f"{options.directory} writes some", file=sys.stderr)
        return 1
    if options.markdown:
        sys.stdout.write(make_markdown(results))
        return 0
    page = options.directory / "report.html"
    try:
        page.write_text(make_page(results))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"report.py: can't make {page}: {error}", file=sys.stderr)
        return 1
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
