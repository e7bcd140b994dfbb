"""Times a no-op deploy of Kubernetes tasks by vmstation and by ansible-playbook, interleaved, as whole processes.

Called by bench-kubernetes.sh inside the lab's network: bench-kubernetes.py VMSTATION VENV LAB-DIRECTORY
Standard library only.
"""

import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

PLAYBOOK = "scripts/bench-kubernetes.yml"


def run(words, env):
    """A process from its start to its end: seconds by the clock, seconds of processor, what it said."""
    with tempfile.TemporaryFile() as out:
        before = time.monotonic()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - before
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return seconds, usage.ru_utime + usage.ru_stime, process.returncode, out.read().decode(errors="replace")


def version(words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()[0] if done.returncode == 0 else None


def main():
    vmstation, venv, lab = sys.argv[1:]
    common = ["-i", "localhost,", "-e", f"kubeconfig={lab}/kubeconfig", PLAYBOOK]
    with tempfile.TemporaryDirectory() as scratch:
        # No configuration but ours.
        config = os.path.join(scratch, "ansible.cfg")
        with open(config, "w", encoding="utf-8"):
            pass
        env = dict(os.environ, ANSIBLE_PIPELINING="True", ANSIBLE_NOCOLOR="1", ANSIBLE_CONFIG=config,
                   ANSIBLE_SSH_CONTROL_PATH_DIR=scratch)
        # The program of its own environment also runs its modules: it has the `kubernetes` that they need.
        python = ["-e", f"ansible_python_interpreter={venv}/bin/python"]
        ways = {
            "vmstation": [vmstation, "run", *common],
            "ansible": [f"{venv}/bin/ansible-playbook", *python, *common],
        }

        def nothing_changed(what):
            seconds, cpu, status, said = run(ways[what], env)
            changed = [int(n) for n in re.findall(r"\bchanged[= ]+(\d+)", said)]
            if status != 0 or not changed or any(changed):
                sys.exit(f"{what} did not find everything in order (exit {status}):\n{said[-4000:]}")
            return seconds, cpu

        # Ansible writes the annotation of `apply` in words of its own over those of kubectl; vmstation takes either.
        for what in ways:
            _, _, status, said = run(ways[what], env)
            if status != 0:
                sys.exit(said)
        os.makedirs("bench-results", exist_ok=True)
        name = f"bench-results/{datetime.datetime.now().strftime('%Y-%m-%d-%H%M%S')}-kubernetes.jsonl"
        results = {what: [] for what in ways}
        with open(name, "w", encoding="utf-8") as file:

            def keep(record):
                file.write(json.dumps(record) + "\n")
                file.flush()

            with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
                models = re.findall(r"^model name\s*:\s*(.*)$", cpuinfo.read(), re.MULTILINE)
            keep({"machine": {"cores": os.cpu_count(), "processor": models[0] if models else platform.machine(),
                              "kernel": platform.release()},
                  "load": os.getloadavg(), "playbook": PLAYBOOK, "versions": {
                      "vmstation": version([vmstation, "--version"]),
                      "program": "debug" if "/debug/" in vmstation else "release",
                      "ansible": version([f"{venv}/bin/ansible-playbook", "--version"]),
                      "kubernetes for Python": version([f"{venv}/bin/python", "-c",
                                                        "import kubernetes; print(kubernetes.__version__)"]),
                      "kubectl": version(["kubectl", "version", "--client"])}})
            for what in ways:
                nothing_changed(what)
            for number in range(int(os.environ.get("BENCH_ROUNDS", "9"))):
                for what in list(ways) if number % 2 == 0 else reversed(ways):
                    load = os.getloadavg()[0]
                    seconds, cpu = nothing_changed(what)
                    results[what].append(seconds)
                    keep({"what": what, "round": number, "seconds": round(seconds, 4),
                          "cpu_seconds": round(cpu, 4), "load": load})
    for what, seconds in results.items():
        print(f"{what:<12}{len(seconds):>3} rounds  median {statistics.median(seconds):7.3f} s"
              f"  {min(seconds):.2f}–{max(seconds):.2f}")
    ratios = sorted(own / theirs for own, theirs in zip(results["vmstation"], results["ansible"]))
    print(f"vmstation takes {statistics.median(ratios):.3f} of Ansible's time ({ratios[0]:.3f}–{ratios[-1]:.3f})")
    print(f"Raw numbers: {name}")


main()
