//! Programs whose number of round trips is known.

use std::fmt::Write as _;

use crate::drive::{self, How, Seen};
use crate::world::Temper;

/// Runs a play of these tasks ahead, after one by one; both must agree.
fn ahead(tasks: &str, how: &How) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
    // Anew each time: tasks may write there.
    let run = |how: &How| {
        for (path, text) in [
            ("play.yml", &*play),
            ("templates/t.j2", "T"),
            ("files/f.txt", "F"),
            ("more.yml", "- see: {path: /m}\n- see: {path: /n}\n"),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        drive::run(folder.path(), &drive::load(folder.path()).unwrap(), how)
    };
    let expected = run(&How {
        ahead: false,
        ..how.clone()
    });
    let seen = run(how);
    assert_eq!(expected.told, seen.told);
    assert_eq!(expected.files, seen.files);
    assert_eq!((seen.exit, &seen.error), (0, &None), "{:?}", seen.told);
    assert!(seen.broken.is_empty(), "{:?}", seen.broken);
    seen
}

/// How many tasks there are, each a look at a file of its own, but for some.
fn spread(count: usize, other: impl Fn(usize) -> Option<String>) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let task = other(n).unwrap_or_else(|| format!("see: {{path: /{n}}}"));
        let _ = writeln!(text, "    - {task}");
        text
    })
}

fn change(n: usize) -> String {
    format!("put: {{path: /{n}, content: x}}")
}

fn trips(seen: &Seen) -> Vec<usize> {
    seen.trips.values().map(Vec::len).collect()
}

/// How many questions were asked on a host altogether.
fn questions(seen: &Seen, host: &str) -> usize {
    let words = seen.trips[host].iter().flat_map(|what| what.split(", "));
    words.filter(|word| *word == "read").count()
}

#[test]
fn what_is_in_order_costs_one_trip() {
    assert_eq!(trips(&ahead(&spread(30, |_| None), &How::ahead())), [1]);
    assert_eq!(trips(&ahead(&spread(30, |_| None), &How::on(3))), [1, 1, 1]);
}

#[test]
fn a_change_costs_one_trip_and_takes_the_questions_behind_it_along() {
    for changes in [vec![5], vec![5, 12, 20], vec![0, 29], vec![3, 4, 5, 6]] {
        let tasks = spread(30, |n| changes.contains(&n).then(|| change(n)));
        let seen = ahead(&tasks, &How::ahead());
        assert_eq!(trips(&seen), [1 + changes.len()], "{:?}", seen.trips);
    }
}

#[test]
fn a_command_costs_one_trip_and_takes_the_questions_behind_it_along() {
    let tasks = spread(30, |n| (n % 6 == 3).then(|| "do: say hello".to_string()));
    let seen = ahead(&tasks, &How::ahead());
    assert_eq!(trips(&seen), [1 + 5], "{:?}", seen.trips);
    // What a command would make stale is not asked before it.
    assert_eq!(questions(&seen, "h1"), 25);
}

#[test]
fn where_everything_changes_nothing_is_asked_more_than_twice() {
    let seen = ahead(&spread(40, |n| Some(change(n))), &How::ahead());
    assert_eq!(trips(&seen), [1 + 40]);
    assert!(questions(&seen, "h1") <= 80, "{}", questions(&seen, "h1"));
}

#[test]
fn a_change_that_was_foreseen_and_does_not_come_costs_a_trip() {
    // Both look alike at first; the first makes the second needless.
    let tasks = spread(20, |n| [5, 7].contains(&n).then(|| change(5)));
    assert_eq!(trips(&ahead(&tasks, &How::ahead())), [3]);
}

#[test]
fn items_of_a_loop_are_asked_about_together() {
    let converged = spread(5, |n| {
        (n == 2).then(|| "see: {path: \"/{{ item }}\"}\n      loop: [a, b, c, d, e]".to_string())
    });
    assert_eq!(trips(&ahead(&converged, &How::ahead())), [1]);
    // Each item changes: the questions of the next ride behind it.
    let changing = spread(5, |n| {
        (n == 2).then(|| "put: {path: \"/{{ item }}\", content: x}\n      loop: [a, b, c, d, e]".to_string())
    });
    assert_eq!(trips(&ahead(&changing, &How::ahead())), [6]);
}

#[test]
fn a_register_that_others_wait_for_costs_a_trip() {
    let tasks = spread(30, |n| match n {
        3 => Some("see: {path: /3}\n      register: r".to_string()),
        9 => Some("see: {path: \"/{{ r.content }}9\"}\n      register: q".to_string()),
        20 => Some("see: {path: \"/{{ q.content }}20\"}".to_string()),
        _ => None,
    });
    assert_eq!(trips(&ahead(&tasks, &How::ahead())), [3]);
}

#[test]
fn what_an_include_brings_is_looked_at_too() {
    let tasks = spread(30, |n| {
        (n % 10 == 5).then(|| "include_tasks: more.yml".to_string())
    });
    assert_eq!(trips(&ahead(&tasks, &How::ahead())), [1]);
}

#[test]
fn a_fence_costs_a_trip() {
    let tasks = spread(30, |n| (n == 15).then(|| "nap: {seconds: 3}".to_string()));
    assert_eq!(trips(&ahead(&tasks, &How::ahead())), [2]);
    assert_eq!(trips(&ahead(&tasks, &How::on(2))), [2, 2]);
    // Not where it is skipped.
    let skipped = spread(30, |n| {
        (n == 15).then(|| "nap: {seconds: 3}\n      when: inventory_hostname == 'h2'".to_string())
    });
    assert_eq!(trips(&ahead(&skipped, &How::on(2))), [2, 2]);
}

#[test]
fn no_more_than_64_tasks_are_under_way() {
    assert_eq!(trips(&ahead(&spread(100, |_| None), &How::ahead())), [2]);
    assert_eq!(trips(&ahead(&spread(200, |_| None), &How::ahead())), [4]);
}

#[test]
fn hosts_that_all_change_go_together() {
    // Nobody can look past a turn in which others change: one trip for the change, one to look behind it.
    let tasks = spread(30, |n| [5, 12, 20].contains(&n).then(|| change(n)));
    let seen = ahead(&tasks, &How::on(3));
    assert_eq!(trips(&seen), [7, 7, 7], "{:?}", seen.trips);
}

/// The files of the project are read ahead too, whatever else the play does there; whoever writes one of them is seen.
#[test]
fn files_of_the_controlling_machine_are_read_ahead() {
    let bring = "bring: {src: t.j2, dest: /t}";
    let tasks = spread(30, |n| match n {
        5 | 10 => Some("include_tasks: more.yml".to_string()),
        15 => Some("see: {path: /15}\n      delegate_to: h1".to_string()),
        20 => Some(bring.to_string()),
        _ => None,
    });
    let seen = ahead(&tasks, &How::ahead());
    assert_eq!(trips(&seen), [2], "{:?}", seen.trips);
}

/// By whatever way a task reaches this machine, even one that is not known to do so.
#[test]
fn a_file_that_an_earlier_task_writes_here_is_read_behind_it() {
    for (write, read) in [
        ("project templates/t.j2 new", "bring: {src: t.j2, dest: /t}"),
        (
            "project files/f.txt new",
            "bring: {src: f.txt, plain: true, dest: /t}",
        ),
        (
            "project more.yml - put: {path: /t, content: new}",
            "include_tasks: more.yml",
        ),
    ] {
        let tasks = spread(6, |n| match n {
            2 => Some(format!("do: {{script: \"{write}\"}}")),
            4 => Some(read.to_string()),
            _ => None,
        });
        let seen = ahead(&tasks, &How::ahead());
        let file = &seen.files[&("h1".to_string(), "/t".to_string())];
        assert_eq!(file.trim(), "new", "{write}");
    }
}

/// Who waits for the host that runs a task for all takes no place that `throttle` gives.
#[test]
fn what_runs_once_is_not_held_up_by_a_throttle() {
    let tasks = "    - do: \"{{ 'sleep 5' if inventory_hostname == 'h1' else 'true' }}\"
    - see: {path: /a}
      run_once: true
      throttle: 1
    - see: {path: /b}
";
    for temper in [0, 8000] {
        let how = How {
            temper: Temper {
                slowest: temper,
                whims: 0,
            },
            ..How::on(3)
        };
        ahead(tasks, &how);
    }
}

/// `loop_control: pause` waits between items, and nobody looks past it.
#[test]
fn items_of_a_loop_with_a_pause_come_one_after_another() {
    let tasks = spread(5, |n| {
        match n {
        0 => Some("do: {script: later 5 write /b x}".to_string()),
        1 => Some(
            "see: {path: \"/{{ item }}\"}\n      loop: [a, b, a]\n      loop_control: {pause: 3}\n      register: r".to_string(),
        ),
        2 => Some("see: {path: /b}\n      register: q".to_string()),
        3 => Some(
            "assert: {that: \"not r.results[0].there and not r.results[1].there and q.there\"}".to_string(),
        ),
        _ => None,
    }
    });
    assert_eq!(trips(&ahead(&tasks, &How::ahead())), [1 + 3 + 1]);
}

/// A task's `timeout` ends what it waits for: its work, and its own waiting.
#[test]
fn a_task_that_takes_too_long_is_ended() {
    let tasks = "    - nap: {seconds: 60}
      timeout: 5
      register: r
      ignore_errors: true
    - assert: {that: [r is failed, r.timedout.period == 5]}
    - nap: {seconds: 60}
      timeout: \"{{ 70 }}\"
";
    ahead(tasks, &How::ahead());
}

/// What was lent is taken back when it is no longer so, from whoever looks at no machine himself too.
#[test]
fn what_was_lent_is_taken_back() {
    let tasks = "    - do: {script: write /a old}
    - nap: {seconds: 1}
    - put: {path: /a, content: new}
    - see: {path: /a}
      register: r
    - set_fact: {f: \"{{ r.content }}\"}
    - debug: {msg: \"{{ f }}\"}
      register: q
    - assert: {that: q.msg == 'new'}
";
    ahead(tasks, &How::ahead());
}

/// A thousand logins at once would run into the time limit of the last of them.
#[test]
fn as_many_hosts_are_connected_to_at_once_as_there_are_forks() {
    for forks in [1, 3] {
        let how = How {
            forks,
            temper: Temper {
                slowest: 2000,
                whims: 0,
            },
            ..How::on(4)
        };
        // The world sees to it.
        let seen = ahead("    - see: {path: /a}\n", &how);
        assert_eq!(trips(&seen), [1; 4], "{:?}", seen.trips);
    }
}

/// However few may be at work at once, and as whoever.
#[test]
fn no_look_begins_early_while_something_changes() {
    let tasks = "    - put: {path: /a, content: x, quietly: true}
      become: true
    - see: {path: /a}
    - see: {path: /b}
";
    for seed in 0..40 {
        let how = How {
            forks: 2,
            seed,
            temper: Temper {
                slowest: 8000,
                whims: 0,
            },
            ..How::on(3)
        };
        ahead(tasks, &how);
    }
}
