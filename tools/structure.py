#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""structure.py [--check]: how the C code hangs together, read from its #include lines.

Prints the folders of user/ with what each includes, the cycles among the units of user/ and among
the headers of bpf/, the longest functions and the largest files. With --check it prints only what
breaks a rule, and exits with 1 then: an include in user/ points to the right only, no cycle
anywhere, no function above FUNCTION_LINES.
"""
import pathlib
import re
import subprocess
import sys

# An include points to the right only; what stands in one tuple may include one another.
ORDER = ("cmd", "web", "keeper", "service", "host", "base", "lib")
FUNCTION_LINES = 60
FILE_LINES = 500
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
FUNCTION_HEAD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(")


def sources():
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h"],
        check=True, capture_output=True, text=True).stdout.split()
    return [pathlib.Path(name) for name in sorted(names)
            if name != "bpf/vmlinux.h" and pathlib.Path(name).exists()]


def includes_of(path, roots):
    """The files of this repository that it includes, with the text that names them."""
    for name in INCLUDE.findall(path.read_text()):
        for root in (path.parent, *roots):
            if (root / name).exists():
                yield (root / name), name
                break


def unit_of(path):
    """A unit is a .c file and its header."""
    return str(path.with_suffix(""))


def find_cycles(edges):
    """Strongly connected components of more than one node (Tarjan, 1972)."""
    index, low, stack, on_stack, cycles = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for to in sorted(edges.get(node, ())):
            if to not in index:
                visit(to)
                low[node] = min(low[node], low[to])
            elif to in on_stack:
                low[node] = min(low[node], index[to])
        if low[node] == index[node]:
            part = []
            while not part or part[-1] != node:
                part.append(stack.pop())
                on_stack.discard(part[-1])
            if len(part) > 1:
                cycles.append(sorted(part))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return cycles


def functions_of(path):
    """(lines, name, first line) of each function: kernel style puts its braces at column 0."""
    lines = path.read_text().split("\n")
    for number, line in enumerate(lines):
        if line != "{":
            continue
        head, at = "", number - 1
        while at >= 0 and lines[at] and not lines[at].startswith(("}", "#", "/*", " */")):
            head = lines[at] + " " + head
            at -= 1
        end = number
        while end < len(lines) and lines[end] != "}":
            end += 1
        name = FUNCTION_HEAD.findall(re.sub(r"__attribute__\(\(.*?\)\)", "", head))
        yield end - number - 1, name[0] if name else "?", number + 1


class Structure:
    def __init__(self):
        self.paths = sources()
        self.edges, self.folders, self.backwards = {}, {}, []
        roots = [pathlib.Path(root) for root in ("user", "include", "bpf")]
        for path in self.paths:
            if path.parts[0] == "user":
                self.read_user(path, roots)
            elif path.parts[0] in ("bpf", "include"):
                self.edges[str(path)] = {str(to) for to, _ in includes_of(path, roots)}
        self.cycles = find_cycles(self.edges)
        self.functions = sorted(((*found, path) for path in self.paths
                                 for found in functions_of(path)), key=lambda item: -item[0])

    def read_user(self, path, roots):
        unit = unit_of(path)
        self.edges.setdefault(unit, set())
        for to, name in includes_of(path, roots):
            if to.parts[0] != "user":
                continue
            if unit_of(to) != unit:
                self.edges[unit].add(unit_of(to))
            if len(path.parts) < 3:
                continue
            here, there = path.parts[1], to.parts[1]
            if here != there:
                self.folders.setdefault(here, {}).setdefault(there, set()).add(unit)
            if ORDER.index(there) < ORDER.index(here):
                self.backwards.append(f"{path}: includes {name}, which is to its left "
                                      f"({' > '.join(ORDER)})")

    def problems(self):
        yield from self.backwards
        for cycle in self.cycles:
            yield "a cycle of includes: " + " ".join(cycle)
        for lines, name, at, path in self.functions:
            if lines > FUNCTION_LINES:
                yield f"{path}:{at}: {name}() has {lines} lines, and {FUNCTION_LINES} are the most"

    def show(self):
        print("folder of user/   includes (units that do)")
        for folder in ORDER:
            to = self.folders.get(folder, {})
            print(f"  {folder:8}        " +
                  "  ".join(f"{name} ({len(to[name])})" for name in ORDER if name in to))
        print(f"{sum(map(len, self.folders.values()))} dependencies of folders, "
              f"{len(self.backwards)} backwards, {len(self.cycles)} cycles of includes")
        lengths = sorted(item[0] for item in self.functions)
        print(f"{len(lengths)} functions, median {lengths[len(lengths) // 2]} lines; the longest:")
        for lines, name, at, path in self.functions[:5]:
            print(f"  {lines:4}  {path}:{at} {name}()")
        sizes = sorted(((path.read_text().count("\n"), path) for path in self.paths),
                       key=lambda item: -item[0])
        print(f"{len(sizes)} files, {sum(size for size, _ in sizes)} lines, "
              f"{sum(size > FILE_LINES for size, _ in sizes)} above {FILE_LINES}; the largest:")
        for size, path in sizes[:5]:
            print(f"  {size:4}  {path}")


def main():
    structure = Structure()
    problems = list(structure.problems())
    if "--check" not in sys.argv[1:]:
        structure.show()
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
