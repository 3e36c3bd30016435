#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
validate.py FILE...: holds results of lb-bench against schema.json beside it (needs python3-jsonschema).
A file may hold several objects, as `lb-bench S1 S2 --json` prints them. Exit status 1: one does not
fit, and why; 2: usage.
"""
import json
import pathlib
import sys

import jsonschema


def objects(text):
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        found, at = decoder.raw_decode(text, at)
        yield found


def main(paths):
    schema = json.loads((pathlib.Path(__file__).parent / "schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    bad = 0
    for path in paths:
        count = 0
        for count, found in enumerate(objects(pathlib.Path(path).read_text()), 1):
            error = jsonschema.exceptions.best_match(validator.iter_errors(found))
            if error:
                print(f"{path}: {error.json_path}: {error.message[-200:]}")
                bad += 1
        if not count:
            print(f"{path}: nothing in it")
            bad += 1
    return bad > 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    sys.exit(main(sys.argv[1:]))
