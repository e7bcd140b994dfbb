//! Who waits for whom, by the play's strategy.

use vmstation::run::Event;

use crate::drive::{self, How, Seen};
use crate::world::Temper;

/// Runs a play, ahead and one by one.
fn played(hosts: usize, text: &str) -> [Seen; 2] {
    [true, false].map(|ahead| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("play.yml"), text).unwrap();
        let playbook = drive::load(folder.path()).unwrap();
        let how = How {
            ahead,
            hosts,
            seed: 1,
            temper: Temper { slowest: 0, whims: 0 },
            check: false,
            forks: 50,
            tags: Vec::new(),
            force_handlers: false,
            furnished: false,
        };
        let seen = drive::run(folder.path(), &playbook, &how);
        assert_eq!(seen.error, None);
        seen
    })
}

/// `h1 begins t`, `h1 ends t`, in order.
fn course(seen: &Seen) -> Vec<String> {
    let lines = seen.events.iter().filter_map(|event| match event {
        Event::TaskStarted { host, task, .. } => Some(format!("{host} begins {task}")),
        Event::TaskFinished { host, task, .. } => Some(format!("{host} ends {task}")),
        _ => None,
    });
    lines.collect()
}

/// Whether the first came before the second; both must have come, unless the second never does.
fn before(seen: &Seen, first: &str, second: &str) -> bool {
    let course = course(seen);
    let place = |line: &str| course.iter().position(|l| l == line);
    let first = place(first).unwrap_or_else(|| panic!("never {first}: {course:#?}"));
    place(second).is_none_or(|second| first < second)
}

fn happens(seen: &Seen, line: &str) -> bool {
    course(seen).iter().any(|l| l == line)
}

/// One host is slow and then fails.
const SLOW_FAILURE: &str = "
- hosts: all
  gather_facts: false
  tasks:
    - name: first
      do: \"{{ 'sleep 60\\nfail 1' if inventory_hostname == 'h1' else 'true' }}\"
    - name: second
      do: 'true'
";

fn slow_failure(keyword: &str) -> [Seen; 2] {
    let text = SLOW_FAILURE.replace("gather_facts", &format!("{keyword}\n  gather_facts"));
    played(3, &text)
}

#[test]
fn under_linear_nobody_is_ahead() {
    for seen in slow_failure("strategy: linear") {
        assert!(before(&seen, "h1 ends first", "h2 begins second"));
        assert!(happens(&seen, "h2 ends second"));
    }
}

#[test]
fn under_free_nobody_waits() {
    for keyword in ["strategy: free", "strategy: host_pinned"] {
        for seen in slow_failure(keyword) {
            assert!(before(&seen, "h2 ends second", "h1 ends first"));
            assert!(before(&seen, "h3 ends second", "h1 ends first"));
        }
    }
}

/// A failure can only end the work of those that are not ahead.
#[test]
fn what_ends_the_work_of_all_keeps_hosts_in_step() {
    for seen in slow_failure("strategy: free\n  any_errors_fatal: true") {
        assert!(before(&seen, "h1 ends first", "h2 begins second"));
        assert!(!happens(&seen, "h2 begins second"));
    }
    for seen in slow_failure("strategy: free\n  max_fail_percentage: 50") {
        assert!(before(&seen, "h1 ends first", "h2 begins second"));
        assert!(happens(&seen, "h2 ends second"));
    }
}

/// As `ansible-playbook`, which warns of it.
#[test]
fn run_once_means_nothing_under_free() {
    let text = "
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - name: once
      do: 'true'
      run_once: true
";
    for seen in played(3, text) {
        for host in ["h1", "h2", "h3"] {
            assert!(happens(&seen, &format!("{host} ends once")), "{host}");
        }
    }
}

const DAG: &str = "
- hosts: all
  gather_facts: false
  strategy: dag
  tasks:
    - name: first
      do: \"{{ 'sleep 60\\nsay one' if inventory_hostname == 'h1' else 'say two' }}\"
      register: r
";

fn dag(tasks: &str) -> [Seen; 2] {
    played(3, &format!("{DAG}{tasks}"))
}

const SECOND: &str = "    - name: second\n      do: 'true'\n";

#[test]
fn under_dag_nobody_waits_without_a_reason() {
    for seen in dag(SECOND) {
        assert!(before(&seen, "h2 ends second", "h1 ends first"));
    }
}

/// Each of these is a reason.
#[test]
fn under_dag_a_reason_is_waited_for() {
    let reasons = [
        "      needs: first\n",
        "      run_once: true\n",
        "      delegate_to: h1\n",
        "      delegate_to: \"{{ 'h' ~ 1 }}\"\n",
        "      when: hostvars['h1'].r.stdout == 'one'\n",
        "      when: hostvars[item].r.stdout == 'one'\n      loop: [h1]\n",
        "      when: ansible_play_hosts | length == 3\n",
        // Seen by no text of the task: only the lookup tells.
        "      when: hidden == 'one'\n",
        "      changed_when: hidden == 'one'\n",
    ];
    for reason in reasons {
        let text = format!("{DAG}{SECOND}{reason}").replace(
            "  tasks:",
            "  vars:\n    hidden: \"{{ hostvars['h1'].r.stdout }}\"\n  tasks:",
        );
        for seen in played(3, &text) {
            assert!(before(&seen, "h1 ends first", "h2 ends second"), "{reason}");
            assert_eq!(seen.exit, 0, "{reason}");
            let skipped = seen.told["h2"]
                .iter()
                .any(|l| l.contains("second") && l.contains("Skipped"));
            assert!(!skipped, "{reason}");
        }
    }
}

/// What runs once gives its result to all, and all wait for it.
#[test]
fn under_dag_all_meet_at_what_runs_once() {
    let once =
        "    - name: second\n      do: sleep 60\n      run_once: true\n    - name: third\n      do: 'true'\n";
    for seen in dag(once) {
        assert!(before(&seen, "h1 ends first", "h1 begins second"));
        assert!(before(&seen, "h1 ends second", "h2 begins third"));
    }
}

/// A machine does things in the order of the file, whoever sends them there.
#[test]
fn under_dag_a_machine_keeps_the_order_of_the_file() {
    let text = "
- hosts: all
  gather_facts: false
  strategy: dag
  tasks:
    - name: first
      do: \"sleep 60\\nwrite /a x\"
      delegate_to: h3
      when: inventory_hostname == 'h1'
    - name: second
      see: {path: /a, now: true}
      register: r
";
    for seen in played(3, text) {
        assert!(before(&seen, "h1 ends first", "h3 begins second"));
        assert!(before(&seen, "h2 ends second", "h1 ends first"));
    }
}

#[test]
fn a_change_that_waits_to_be_judged_is_made_once() {
    let text = format!("{DAG}{SECOND}")
        .replace("do: 'true'", "do: bump /n")
        .replace(
            "  tasks:",
            "  vars:\n    hidden: \"{{ hostvars['h1'].r.stdout }}\"\n  tasks:",
        )
        + "      register: mine\n      changed_when: mine.rc == 0 and hidden == 'one'\n      when: inventory_hostname == 'h2'\n";
    for seen in played(3, &text) {
        assert_eq!(seen.files[&("h2".to_string(), "/n".to_string())], "1");
        assert!(before(&seen, "h1 ends first", "h2 ends second"));
    }
}

/// What is needed and failed fails what needs it, and says so; skipped, ignored and rescued is well.
#[test]
fn what_is_needed_must_end_well() {
    let needing = "    - name: second\n      do: 'true'\n      needs: first\n";
    let cases = [
        ("do: fail 1", "      when: inventory_hostname == 'h1'\n", true),
        (
            "fail: {msg: no}",
            "      when: inventory_hostname == 'h1'\n",
            true,
        ),
        ("do: unplug h1", "      when: inventory_hostname == 'h1'\n", true),
        (
            "do: fail 1",
            "      when: inventory_hostname == 'h1'\n      ignore_errors: true\n",
            false,
        ),
        ("do: fail 1", "      when: false\n", false),
    ];
    for strategy in ["linear", "dag", "free"] {
        for (what, more, fails) in cases {
            let text = format!(
                "- hosts: all\n  gather_facts: false\n  strategy: {strategy}\n  tasks:\n    - name: first\n      {what}\n{more}{needing}"
            );
            for seen in played(3, &text) {
                let said = seen.told["h2"].join("\n");
                assert_eq!(
                    said.contains("this needs `first`, which failed on `h1`"),
                    fails,
                    "{strategy} {what}\n{said}"
                );
                assert_eq!(said.contains("Changed"), !fails, "{strategy} {what}\n{said}");
            }
        }
    }
}

#[test]
fn a_rescue_that_fails_has_rescued_nothing() {
    let text = |rescue: &str| {
        format!(
            "
- hosts: all
  gather_facts: false
  strategy: dag
  tasks:
    - block:
        - {{name: first, do: fail 1, when: inventory_hostname == 'h1'}}
      rescue:
        - {{name: mend, do: {rescue}}}
    - {{name: second, do: 'true', needs: first}}
"
        )
    };
    for (rescue, fails) in [("fail 1", true), ("'true'", false)] {
        for seen in played(2, &text(rescue)) {
            let said = seen.told["h2"].join("\n");
            assert_eq!(said.contains("which failed on `h1`"), fails, "{rescue}\n{said}");
        }
    }
}

/// A host that left before matters only if it had something to do there.
#[test]
fn what_a_lost_host_would_have_done_is_missed() {
    let text = |host: &str| {
        format!(
            "
- hosts: all
  gather_facts: false
  strategy: dag
  tasks:
    - {{name: prepare, do: fail 1, when: inventory_hostname == 'h1'}}
    - {{name: first, do: 'true', when: inventory_hostname == '{host}'}}
    - {{name: second, do: 'true', needs: first}}
"
        )
    };
    for (host, fails) in [("h1", true), ("h3", false)] {
        for seen in played(3, &text(host)) {
            let said = seen.told["h2"].join("\n");
            let missed = "this needs `first`, to which `h1` did not come: it left the play at `prepare`";
            assert_eq!(said.contains(missed), fails, "{host}\n{said}");
        }
    }
}

/// Where hosts go their own ways, one that ends the play leaves the others the task that they are at.
#[test]
fn the_end_of_a_play_waits_for_what_others_are_in_the_middle_of() {
    let text = "
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - name: first
      do: \"{{ 'true' if inventory_hostname == 'h1' else 'sleep 60\\nwrite /a x' }}\"
    - meta: end_play
      when: inventory_hostname == 'h1'
    - name: second
      do: 'true'
";
    for seen in played(2, text) {
        assert!(happens(&seen, "h2 ends first"));
        assert!(!happens(&seen, "h2 begins second"));
    }
}

/// Whoever is done first, and whoever it takes with it: a task sees the others as they were when it began.
#[test]
fn no_host_sees_what_another_has_come_to_in_the_same_task() {
    let text = "
- hosts: all
  gather_facts: false
  tasks:
    - name: first
      do: \"{{ 'sleep 60' if inventory_hostname == 'h1' else 'true' }}\"
      loop: [1, 2]
      when: hostvars['h2'].r is not defined
      register: r
    - name: second
      do: \"{{ 'sleep 60' if inventory_hostname == 'h1' else 'fail 1' }}\"
      loop: [1, 2]
      when: ansible_play_hosts | length == 2
    - name: third
      do: 'true'
      when: ansible_play_hosts == ['h1'] and hostvars['h2'].r is defined
";
    for seen in played(2, text) {
        let skipped: Vec<_> = seen.told["h1"]
            .iter()
            .filter(|l| l.contains("None Skipped"))
            .collect();
        assert!(skipped.is_empty(), "{skipped:#?}");
    }
}
