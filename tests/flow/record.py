#!/usr/bin/env python3
"""Records what ansible-playbook does with playbooks, as <name>.json beside each.

    python3 tests/flow/record.py [--ansible PATH] [--lab NAME] [FOLDER/NAME…]

Without names: every case of tests/flow and tests/orders. Those that say `# on: lab` need a lab that is up, and are
left out without one. Kept: every result in order as (task, host, status, some values), the counts at the end, the
exit status. tests/flow/case.rs says what the first comment lines of a case mean.
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent.parent
FLOW = TESTS / "flow"


def settings(book):
    """The first comment lines."""
    found = {}
    for line in book.read_text().splitlines():
        name, colon, value = line.removeprefix("# ").partition(": ")
        if not line.startswith("#"):
            break
        if colon:
            found[name] = value.strip()
    return found


def inventory(book, own):
    if "inventory" in own:
        return book.parent / own["inventory"]
    beside = book.parent / "hosts"
    return beside if beside.exists() else FLOW / "hosts"


def record(options, book):
    own = settings(book)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        scratch = folder / "w"
        scratch.mkdir()
        (folder / "ansible.cfg").touch()
        env = dict(
            os.environ,
            ANSIBLE_CALLBACK_PLUGINS=str(FLOW / "callback"),
            ANSIBLE_STDOUT_CALLBACK="recorder",
            RECORD_TO=str(folder / "out"),
            ANSIBLE_CONFIG=str(folder / "ansible.cfg"),
            ANSIBLE_GATHERING="explicit",
            ANSIBLE_RETRY_FILES_ENABLED="0",
            ANSIBLE_LOCALHOST_WARNING="0",
            ANSIBLE_PYTHON_INTERPRETER="/usr/bin/python3",
            ANSIBLE_HOST_KEY_CHECKING="0",
            ANSIBLE_FORKS="10",
            # The hosts of every lab have the same addresses: not over another lab's connection.
            ANSIBLE_SSH_CONTROL_PATH_DIR=str(folder),
            PYTHONDONTWRITEBYTECODE="1",
        )
        command = [options.ansible, "-e", f"w={scratch}", str(book), *own.get("args", "").split()]
        if own.get("on") == "lab":
            command = ["nsenter", f"--net=/run/netns/vmstation-{options.lab}", *command,
                       "-i", f"/run/vmstation/{options.lab}/inventory.yml"]
        else:
            command += ["-i", str(inventory(book, own))]
        done = subprocess.run(
            command, env=env, cwd=FLOW, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        out = folder / "out"
        text = out.read_text() if out.exists() else ""
    text = text.replace(str(scratch), "$W").replace(str(FLOW), "$FLOW")
    lines = [json.loads(line) for line in text.splitlines()]
    end = lines.pop()[1] if lines and lines[-1][0] == "END" else {}
    # Which host is the first to end a task is chance.
    tasks = itertools.groupby(lines, lambda row: row[0])
    lines = [row for _, task in tasks for row in sorted(task, key=lambda row: row[1])]
    if not lines or options.show:
        print(book.stem, "says", done.stdout.strip()[-1200:])
    results = ",\n  ".join(json.dumps(line, sort_keys=True) for line in lines)
    counts = ",\n  ".join(f"{json.dumps(host)}: {json.dumps(end[host], sort_keys=True)}" for host in end)
    book.with_suffix(".json").write_text(
        f'{{\n "exit": {done.returncode},\n "results": [\n  {results}\n ],\n "end": {{\n  {counts}\n }}\n}}\n'
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ansible", default="ansible-playbook")
    parser.add_argument("--lab")
    parser.add_argument("--show", action="store_true", help="what ansible-playbook printed, too")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    here, lab = [], []
    for book in sorted([*FLOW.glob("*/*.yml"), *TESTS.glob("orders/*.yml")]):
        name = str(book.relative_to(FLOW if FLOW in book.parents else TESTS).with_suffix(""))
        if options.names and not any(wanted in name for wanted in options.names):
            continue
        (lab if settings(book).get("on") == "lab" else here).append(book)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda book: record(options, book), here))
    if lab and not options.lab:
        sys.exit(f"{len(lab)} cases need --lab NAME")
    # One after another: they share the hosts.
    for book in lab:
        record(options, book)


main()
