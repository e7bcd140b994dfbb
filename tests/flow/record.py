#!/usr/bin/env python3
"""Records what ansible-playbook does with each playbook of this folder, as <name>.json beside it.

    python3 tests/flow/record.py [--ansible PATH] [NAME…]

Three hosts, all of them this machine. Kept: every result in order as (task, host, status, some values), the
counts at the end, the exit status. A first line `# args: …` gives more arguments.
"""

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

KEEP = ("msg", "rc", "stdout", "changed", "failed", "skipped", "attempts", "item", "results", "ansible_facts", "ansible_loop_var", "skip_reason", "false_condition", "skipped_reason", "failed_when_result", "ansible_index_var")

def kept(result, depth=0):
    out = {k: v for k, v in result.items() if k in KEEP and (k != "msg" or not result.get("failed") or result.get("keep"))}
    if "results" in out:
        out["results"] = [kept(r, 1) for r in out["results"]]
    return out

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "recorder"

    def __init__(self):
        super().__init__()
        self.out = open(os.environ["RECORD_TO"], "w")

    def say(self, status, result):
        values = kept(result._result)
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
        counts = {h: {k: v for k, v in stats.summarize(h).items() if k != "failures"} | {"failed": stats.summarize(h)["failures"]} for h in sorted(stats.processed)}
        self.out.write(json.dumps(["END", counts]) + "\\n")
'''


def main():
    names = sys.argv[1:]
    ansible = "ansible-playbook"
    if names[:1] == ["--ansible"]:
        ansible, names = names[1], names[2:]
    for book in sorted(HERE.glob("*.yml")):
        if names and book.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "recorder.py").write_text(PLUGIN)
            (folder / "hosts").write_text("".join(f"h{n} ansible_connection=local\n" for n in (1, 2, 3)))
            first = book.read_text().splitlines()[0]
            args = first.removeprefix("# args:").split() if first.startswith("# args:") else []
            env = dict(os.environ, ANSIBLE_CALLBACK_PLUGINS=str(folder), ANSIBLE_STDOUT_CALLBACK="recorder",
                       RECORD_TO=str(folder / "out"), ANSIBLE_GATHERING="explicit", ANSIBLE_RETRY_FILES_ENABLED="0",
                       ANSIBLE_LOCALHOST_WARNING="0", ANSIBLE_PYTHON_INTERPRETER="/usr/bin/python3")
            done = subprocess.run([ansible, "-i", str(folder / "hosts"), str(book), *args], env=env, cwd=HERE,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            lines = [json.loads(line) for line in (folder / "out").read_text().splitlines()] if (folder / "out").exists() else []
            end = lines.pop()[1] if lines and lines[-1][0] == "END" else {}
            recorded = {"exit": done.returncode, "results": lines, "end": end}
            if not lines:
                print(book.stem, "says", done.stdout.strip()[-600:])
            text = "{\n \"exit\": %d,\n \"results\": [\n  %s\n ],\n \"end\": %s\n}\n" % (
                done.returncode, ",\n  ".join(json.dumps(line, sort_keys=True) for line in lines), json.dumps(end, sort_keys=True))
            (HERE / f"{book.stem}.json").write_text(text)


main()
