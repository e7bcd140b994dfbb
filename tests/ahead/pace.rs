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
