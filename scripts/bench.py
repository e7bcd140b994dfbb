"""Times four ways of finding out that nothing is to be done, interleaved, as whole processes.

Called by bench.sh inside the lab's network: bench.py VMSTATION VENV MITOGEN DELAY=INVENTORY ...
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

PLAYBOOK = "playbooks/nodes.yml"
GROUPS = ("monitoring_nodes", "storage_nodes", "compute_nodes")
# Ansible's modprobe reads /proc/modules, which some kernels of containers lack.
SKIP = "modprobe"
FILES = (
    "/etc/modules-load.d/kubernetes.conf",
    "/etc/sysctl.d/99-zz-kubernetes.conf",
    "/etc/tmpfiles.d/kubernetes.conf",
    "/etc/NetworkManager/conf.d/99-kubernetes.conf",
    "/usr/local/sbin/kubernetes-iptables",
    "/etc/systemd/system/kubernetes-iptables.service",
)
NAMES = {
    "vmstation": "vmstation",
    "script": "script over OpenSSH",
    "ansible": "ansible-playbook, pipelining",
    "mitogen": "ansible-playbook, Mitogen",
}
# The others take a hundred times as long: a few rounds tell.
QUICK = ("vmstation", "script")


def inventory(vmstation, path):
    """The hosts of the play with their variables."""
    text = subprocess.run(
        [vmstation, "inventory", "--list", "-i", path], check=True, capture_output=True, text=True
    ).stdout
    data = json.loads(text)
    variables = data["_meta"]["hostvars"]
    return [variables[host] for group in GROUPS for host in data[group]["hosts"]]


def ssh(host):
    """OpenSSH with its defaults: only where to, with which key, and who is known there."""
    words = ["ssh", "-i", host["ansible_ssh_private_key_file"]]
    words += host["ansible_ssh_common_args"].split()
    words += ["-p", str(host.get("ansible_port", 22))]
    words += [f"{host['ansible_user']}@{host['ansible_host']}"]
    return words + (["sudo"] if host.get("ansible_become") else [])


def run(words, **options):
    """A process from its start to its end: seconds by the clock, seconds of processor, what it said."""
    with tempfile.TemporaryFile() as out:
        before = time.monotonic()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **options)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - before
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read().decode(errors="replace")
    return seconds, usage.ru_utime + usage.ru_stime, process.returncode, said


def nothing_changed(what, status, said):
    """Ends the bench if something was wrong or to be done: it would be another thing that is timed."""
    counts = [int(n) for n in re.findall(r"\bchanged[= ](\d+)", said)]
    failed = [int(n) for n in re.findall(r"\b(?:failed|unreachable)[= ](\d+)", said)]
    enough = what == "script" or len(counts) == 3
    if status != 0 or any(counts) or any(failed) or not enough:
        sys.exit(f"{what} did not find everything in order (exit {status}):\n{said[-4000:]}")


class Ways:
    """The four commands, for one way to the hosts."""

    def __init__(self, programs, path, scratch):
        self.path, (self.vmstation, self.venv, self.mitogen) = path, programs
        self.script = self.write_script(inventory(self.vmstation, path), scratch)
        # The hosts of every lab have the same addresses: not over another lab's connection.
        self.env = dict(os.environ, ANSIBLE_PIPELINING="True", ANSIBLE_NOCOLOR="1",
                        ANSIBLE_SSH_CONTROL_PATH_DIR=scratch)

    def write_script(self, hosts, scratch):
        """One line for each host: all at once, and wait; the files' sums are those that the deploy has left."""
        with open("scripts/bench-check.sh", encoding="utf-8") as file:
            check = file.read()
        lines = []
        for number, host in enumerate(hosts):
            look = ssh(host) + [f"sha256sum {' '.join(FILES)} 2>/dev/null || :"]
            sums = subprocess.run(look, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
            name = os.path.join(scratch, f"check-{len(os.listdir(scratch))}.sh")
            with open(name, "w", encoding="utf-8") as file:
                file.write(f"sums='{sums.strip()}'\n{check}")
            lines.append(f"{' '.join(ssh(host))} sh -s <{name} & p{number}=$!")
        waits = "".join(f"wait $p{number} || bad=1; " for number in range(len(hosts)))
        return "\n".join(lines) + f"\nbad=0; {waits}exit $bad"

    def run(self, what):
        playbook = [PLAYBOOK, "--skip-tags", SKIP, "-i", self.path]
        if what == "vmstation":
            return run([self.vmstation, "run", *playbook])
        if what == "script":
            return run(["sh", "-c", self.script])
        env = self.env
        if what == "mitogen":
            env = dict(env, ANSIBLE_STRATEGY_PLUGINS=strategies(self.mitogen), ANSIBLE_STRATEGY="mitogen_linear")
        return run([f"{self.venv}/bin/ansible-playbook", *playbook], env=env)


def strategies(mitogen):
    return f"{mitogen}/ansible_mitogen/plugins/strategy"


def rounds_for(delay):
    """Fewer where each takes long."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "15"))
    return rounds if delay == 0 else max(3, rounds * 2 // 3) if delay < 100 else max(3, rounds // 3)


def measure(ways, delay, kinds, keep):
    """Round by round: whatever else the machine does meets all of them alike."""
    results = {what: [] for what in kinds}
    for what in kinds:
        nothing_changed(what, *ways.run(what)[2:])
    slow_rounds = int(os.environ.get("BENCH_SLOW_ROUNDS", "5"))
    for number in range(rounds_for(delay)):
        now = [what for what in kinds if what in QUICK or number < slow_rounds]
        for what in now if number % 2 == 0 else reversed(now):
            load = os.getloadavg()[0]
            seconds, cpu, status, said = ways.run(what)
            nothing_changed(what, status, said)
            results[what].append(seconds)
            keep({"what": what, "delay_ms": delay, "round": number, "seconds": round(seconds, 4),
                  "client_cpu_seconds": round(cpu, 4), "load": load})
    return results


def table(delay, results):
    """Medians, from the least to the most, and how each compares with the script of the same round."""
    print(f"\n+{delay} ms, {'rounds':>33}   median s   min–max s         times the script")
    for what, seconds in results.items():
        ratios = sorted(own / script for own, script in zip(seconds, results["script"]))
        spread = f"{min(seconds):.2f}–{max(seconds):.2f}"
        print(f"  {NAMES[what]:<32}{len(seconds):>4}{statistics.median(seconds):>11.3f}   {spread:<16}"
              f"{statistics.median(ratios):>6.2f}  ({ratios[0]:.2f}–{ratios[-1]:.2f})", flush=True)


def machine():
    """What the numbers were measured on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = re.findall(r"^model name\s*:\s*(.*)$", file.read(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return {"cores": os.cpu_count(), "processor": models[0] if models else platform.machine(),
            "memory_mib": memory, "kernel": platform.release()}


def first_line(words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()[0] if done.returncode == 0 else None


def main():
    vmstation, venv, mitogen, *ways = sys.argv[1:]
    ways = [(int(delay), path) for delay, path in (way.split("=", 1) for way in ways)]
    os.makedirs("bench-results", exist_ok=True)
    name = f"bench-results/{datetime.datetime.now().strftime('%Y-%m-%d-%H%M%S')}.jsonl"
    print("Left out for all alike: the tasks tagged modprobe, because Ansible's module needs /proc/modules.")
    with open(name, "w", encoding="utf-8") as file, tempfile.TemporaryDirectory() as scratch:

        def keep(record):
            file.write(json.dumps(record) + "\n")
            file.flush()

        keep({"machine": machine(), "load": os.getloadavg(), "skipped_tags": SKIP, "versions": {
            "vmstation": first_line([vmstation, "--version"]),
            "ansible": first_line([f"{venv}/bin/ansible-playbook", "--version"]),
            "mitogen": first_line(["env", f"PYTHONPATH={mitogen}", f"{venv}/bin/python", "-c",
                                   "import mitogen; print(mitogen.__version__)"]),
            "ssh": first_line(["ssh", "-V"])}})
        deploy = [vmstation, "run", PLAYBOOK, "--skip-tags", SKIP, "-i", ways[0][1]]
        subprocess.run(deploy, check=True, stdout=subprocess.DEVNULL)
        for delay, path in ways:
            kinds = ["vmstation", "script", "ansible"]
            if delay == 0 and os.path.isdir(strategies(mitogen)):
                kinds.append("mitogen")
            only = os.environ.get("BENCH_ONLY")
            kinds = [what for what in kinds if not only or what in only.split(",")]
            table(delay, measure(Ways((vmstation, venv, mitogen), path, scratch), delay, kinds, keep))
        trips = subprocess.run([*deploy, "--trips"], check=True, capture_output=True, text=True).stdout
        print("\nRound trips:")
        print("\n".join(line for line in trips.splitlines() if re.match(r"\S+ +\d+ +[\d.]+ ms ", line)))
    print(f"\nRaw numbers: {name}")


main()
