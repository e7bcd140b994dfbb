"""A callback plugin of Ansible's that writes every result to $RECORD_TO, one line of JSON each."""

import json
import os

from ansible.plugins.callback import CallbackBase

KEEP = ("msg", "rc", "stdout", "changed", "failed", "skipped", "unreachable", "attempts", "item", "results",
        "ansible_facts", "ansible_loop_var", "ansible_index_var", "skip_reason", "false_condition",
        "skipped_reason", "failed_when_result", "add_host", "add_group", "parent_groups", "censored")


def kept(result, action, failed):
    """What a playbook may build on, without what is different each time."""
    out = {}
    for name, value in result.items():
        # How Ansible words a failure is its own affair.
        wording = name == "msg" and failed and action != "fail"
        facts = name == "ansible_facts" and action in ("setup", "gather_facts")
        if wording or facts:
            continue
        shown = action == "debug" and not name.startswith("_ansible") and name != "invocation"
        if name in KEEP or shown:
            out[name] = value
    if "results" in out:
        out["results"] = [kept(item, action, item.get("failed", False)) for item in out["results"]]
    return out


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "recorder"

    def __init__(self):
        super().__init__()
        self.out = open(os.environ["RECORD_TO"], "w", encoding="utf-8")

    def say(self, status, result):
        failed = status in ("failed", "ignored", "unreachable")
        values = kept(result._result, result._task.action.split(".")[-1], failed)
        self.write([result._task.get_name(), result._host.get_name(), status, values])

    def write(self, row):
        self.out.write(json.dumps(row) + "\n")
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
        self.write(["END", counts])
