//! What each host does at this moment, as lines that fit a screen.

use std::time::{Duration, Instant};

use super::narration::title;
use super::palette::{Meaning, Palette};
use crate::run::{Event, Status};

/// A timer that shows less is no news.
const PATIENCE: Duration = Duration::from_secs(1);

/// The hosts of the play that runs.
#[derive(Debug, Default)]
pub struct Board {
    rows: Vec<Row>,
    /// The tasks that are known before the play runs.
    tasks: usize,
    begun: Option<Instant>,
}

#[derive(Debug)]
struct Row {
    host: String,
    done: usize,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing has begun yet: it is being connected to.
    New,
    Busy {
        title: String,
        since: Instant,
    },
    /// Between two tasks: others have to come as far.
    Waiting,
    Failed,
    Unreachable,
}

impl Board {
    pub fn take(&mut self, event: &Event, now: Instant) {
        match event {
            Event::PlayStarted { hosts, tasks, .. } => {
                self.tasks = *tasks;
                self.begun = Some(now);
                self.rows = hosts.iter().map(|host| Row::new(host)).collect();
            }
            Event::TaskStarted { host, task, role, .. } => {
                let title = title(role.as_deref(), task);
                self.set(host, State::Busy { title, since: now });
            }
            Event::TaskFinished { host, what, .. } => {
                if let Some(row) = self.row(host) {
                    row.done += 1;
                }
                self.set(
                    host,
                    match what.status {
                        Status::Unreachable => State::Unreachable,
                        Status::Failed if !what.ignored => State::Failed,
                        _ => State::Waiting,
                    },
                );
            }
            Event::HostLost {
                host, unreachable, ..
            } => {
                self.set(
                    host,
                    if *unreachable {
                        State::Unreachable
                    } else {
                        State::Failed
                    },
                );
            }
            Event::RunFinished { .. } => self.rows.clear(),
            _ => {}
        }
    }

    fn row(&mut self, host: &str) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.host == host)
    }

    fn set(&mut self, host: &str, state: State) {
        if let Some(row) = self.row(host) {
            row.state = state;
        }
    }

    /// At most `room` lines of `columns`: one for each host, or the busy ones and a count.
    pub fn lines(&self, now: Instant, (room, columns): (usize, usize), palette: Palette) -> Vec<String> {
        let width = self
            .rows
            .iter()
            .map(|r| r.host.chars().count())
            .max()
            .unwrap_or_default();
        let line = |row: &Row| {
            let (what, timer) = self.line(row, width, now, palette);
            // How long it takes is read also where the name of the task is too long.
            let left = columns.saturating_sub(console::measure_text_width(&timer));
            format!("{}{timer}", console::truncate_str(&what, left, "…"))
        };
        if self.rows.len() <= room {
            return self.rows.iter().map(line).collect();
        }
        let mut busy: Vec<(&Instant, &Row)> = self
            .rows
            .iter()
            .filter_map(|row| match &row.state {
                State::Busy { since, .. } => Some((since, row)),
                _ => None,
            })
            .collect();
        busy.sort_by_key(|(since, _)| **since);
        let mut lines: Vec<String> = busy
            .iter()
            .take(room.saturating_sub(1))
            .map(|(_, row)| line(row))
            .collect();
        if room > 0 {
            let count = self.count();
            let count = console::truncate_str(&count, columns, "…");
            lines.push(palette.paint(Meaning::Aside, &count));
        }
        lines
    }

    /// What a host does, and since when.
    fn line(&self, row: &Row, width: usize, now: Instant, palette: Palette) -> (String, String) {
        let host = format!("{}{}", row.host, " ".repeat(width - row.host.chars().count()));
        // Includes bring tasks that were not known before.
        let known = self.tasks.max(row.done);
        let digits = known.to_string().len();
        let far = palette.paint(Meaning::Aside, &format!("{:>digits$}/{known}", row.done));
        let timer = |since: Instant| {
            let took = now.saturating_duration_since(since);
            if took <= PATIENCE {
                return String::new();
            }
            palette.paint(Meaning::Aside, &format!("  {}", clock(took)))
        };
        let (what, since) = match &row.state {
            State::New => (palette.paint(Meaning::Aside, "begins"), self.begun),
            State::Busy { title, since } => (title.clone(), Some(*since)),
            State::Waiting => (palette.paint(Meaning::Aside, "waits"), None),
            State::Failed => (palette.paint(Meaning::Failed, "failed"), None),
            State::Unreachable => (palette.paint(Meaning::Failed, "unreachable"), None),
        };
        (
            format!("  {host}  {far}  {what}"),
            since.map(timer).unwrap_or_default(),
        )
    }

    fn count(&self) -> String {
        let mut text = format!("  {} hosts", self.rows.len());
        let kinds: [Kind; 5] = [
            ("busy", |s| matches!(s, State::Busy { .. })),
            ("waiting", |s| *s == State::Waiting),
            ("beginning", |s| *s == State::New),
            ("failed", |s| *s == State::Failed),
            ("unreachable", |s| *s == State::Unreachable),
        ];
        let mut before = ": ";
        for (name, is) in kinds {
            let count = self.rows.iter().filter(|r| is(&r.state)).count();
            if count > 0 {
                text = format!("{text}{before}{count} {name}");
                before = ", ";
            }
        }
        text
    }
}

/// What a state is called, and which it is.
type Kind = (&'static str, fn(&State) -> bool);

impl Row {
    fn new(host: &str) -> Self {
        Self {
            host: host.to_string(),
            done: 0,
            state: State::New,
        }
    }
}

fn clock(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(hosts: &[&str]) -> Board {
        let mut board = Board::default();
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let play = Event::PlayStarted {
            play: 0,
            name: String::new(),
            hosts: hosts.clone(),
            tasks: 9,
        };
        let now = Instant::now();
        board.take(&play, now);
        for host in hosts {
            let task = "A name that is long, 日本語のタスク名, and goes on".to_string();
            let started = Event::TaskStarted {
                host,
                task,
                role: None,
                position: vec![0],
            };
            board.take(&started, now);
        }
        board
    }

    #[test]
    fn how_long_it_takes_is_seen_however_long_its_name_is() {
        let now = Instant::now() + Duration::from_millis(75_500);
        for columns in [30, 31, 40, 50] {
            for line in board(&["one", "three"]).lines(now, (5, columns), Palette { coloured: true }) {
                let plain = console::strip_ansi_codes(&line);
                assert!(plain.ends_with("…  1:15 min"), "{plain}");
                assert!(console::measure_text_width(&line) <= columns, "{plain}");
            }
        }
        let lines = board(&["one", "two", "three"]).lines(now, (1, 12), Palette::default());
        assert_eq!(lines, ["  3 hosts: …"]);
    }
}
