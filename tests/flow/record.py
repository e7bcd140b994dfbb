#!/usr/bin/env python3
"""Records what ansible-playbook does with each playbook of these folders, as <name>.json beside it.

    python3 tests/flow/record.py [--ansible PATH] [FOLDER/NAME…]

Kept: every result in order as (task, host, status, some values), the counts at the end, the exit status.
tests/flow.rs says what the first comment lines of a case mean.
"""

import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PLUGIN = '''
import json, os
from ansible.plugins.callback import CallbackBase

KEEP = ("msg", "rc", "stdout", "changed", "failed", "skipped", "unreachable", "attempts", "item", "results",
        "ansible_facts", "ansible_loop_var", "ansible_index_var", "skip_reason", "false_condition",
        "skipped_reason", "failed_when_result", "add_host", "add_group", "parent_groups", "censored")


def kept(result, action, failed):
    whole = action.split(".")[-1] in ("debug",)
    out = {}
    for name, value in result.items():
        if name == "msg" and failed and action.split(".")[-1] != "fail":
            continue
        if name == "ansible_facts" and action.split(".")[-1] in ("setup", "gather_facts"):
            continue
        if name in KEEP or whole and not name.startswith("_ansible") and name != "invocation":
            out[name] = value
    if "results" in out:
        out["results"] = [kept(r, action, r.get("failed", False)) for r in out["results"]]
    return out


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "recorder"

    def __init__(self):
        super().__init__()
        self.out = open(os.environ["RECORD_TO"], "w")

    def say(self, status, result):
        failed = status in ("failed", "ignored", "unreachable")
        values = kept(result._result, result._task.action, failed)
        self.out.write(json.dumps([result._task.get_name(), result._host.get_name(), status, values]) + "\\n")
        self.out.flush()

    def v2_runner_on_ok(self, result):
        self.say("changed" if result._result.get("changed") else "ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.say("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result):
        self.say("skipped", result)

    def v2_runner_on_unreachable(self, result):
        self.say("unreachable", result)

    def v2_playbook_on_stats(self, stats):
        counts = {}
        for host in sorted(stats.processed):
            own = stats.summarize(host)
            own["failed"] = own.pop("failures")
            counts[host] = own
        self.out.write(json.dumps(["END", counts]) + "\\n")
'''


def settings(book):
    found = {}
    for line in book.read_text().splitlines():
        if not line.startswith("#"):
            break
        name, colon, value = line.strip("# ").partition(":")
        if colon and name in ("args", "inventory"):
            found[name] = value.strip()
    return found


def inventory(book, own):
    if "inventory" in own:
        return book.parent / own["inventory"]
    beside = book.parent / "hosts"
    return beside if beside.exists() else HERE / "hosts"


def record(ansible, book):
    own = settings(book)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        scratch = folder / "w"
        scratch.mkdir()
        (folder / "recorder.py").write_text(PLUGIN)
        (folder / "ansible.cfg").touch()
        env = dict(
            os.environ,
            ANSIBLE_CALLBACK_PLUGINS=str(folder),
            ANSIBLE_STDOUT_CALLBACK="recorder",
            RECORD_TO=str(folder / "out"),
            ANSIBLE_CONFIG=str(folder / "ansible.cfg"),
            ANSIBLE_GATHERING="explicit",
            ANSIBLE_RETRY_FILES_ENABLED="0",
            ANSIBLE_LOCALHOST_WARNING="0",
            ANSIBLE_PYTHON_INTERPRETER="/usr/bin/python3",
            ANSIBLE_HOST_KEY_CHECKING="0",
            ANSIBLE_FORKS="10",
        )
        command = [ansible, "-i", str(inventory(book, own)), "-e", f"w={scratch}", str(book)]
        done = subprocess.run(
            [*command, *own.get("args", "").split()],
            env=env, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        out = folder / "out"
        lines = out.read_text().splitlines() if out.exists() else []
    hide = lambda text: text.replace(str(scratch), "$W").replace(str(HERE), "$FLOW")
    lines = [json.loads(hide(line)) for line in lines]
    end = lines.pop()[1] if lines and lines[-1][0] == "END" else {}
    # Which host is the first to end a task is chance.
    lines = [line for _, task in itertools.groupby(lines, lambda r: r[0]) for line in sorted(task, key=lambda r: r[1])]
    if not lines or os.environ.get("SHOW"):
        print(book.stem, "says", done.stdout.strip()[-1200:])
    results = ",\n  ".join(json.dumps(line, sort_keys=True) for line in lines)
    counts = ",\n  ".join(f"{json.dumps(host)}: {json.dumps(end[host], sort_keys=True)}" for host in end)
    book.with_suffix(".json").write_text(
        f'{{\n "exit": {done.returncode},\n "results": [\n  {results}\n ],\n "end": {{\n  {counts}\n }}\n}}\n'
    )


def main():
    names = sys.argv[1:]
    ansible = "ansible-playbook"
    if names[:1] == ["--ansible"]:
        ansible, names = names[1], names[2:]
    books = []
    for book in sorted(HERE.glob("*/*.yml")):
        name = str(book.relative_to(HERE).with_suffix(""))
        if not names or any(wanted in name for wanted in names):
            books.append(book)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda book: record(ansible, book), books))


main()
