//! On a terminal: what happened scrolls by and stays; below it, what each host does now.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::board::Board;
use super::narration::{Loudness, Narration};
use super::palette::Palette;
use super::parked::{END_OF_BOTTOM_LINE, Parked};
use crate::run::{Event, Sink};

/// How often the timers are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Says how many lines and columns the terminal has at this moment.
pub type Size = Box<dyn Fn() -> (u16, u16) + Send>;

/// Writes to a terminal.
pub struct Terminal {
    screen: Arc<Mutex<Screen>>,
    clock: Option<(Sender<()>, JoinHandle<()>)>,
}

struct Screen {
    narration: Narration,
    board: Board,
    term: Parked,
    lines: MultiProgress,
    /// One for each line of the board that is shown.
    slots: Vec<ProgressBar>,
    size: Size,
    /// How many questions stand where the bottom lines were.
    questions: usize,
}

/// The bottom lines of a terminal, to be put away while somebody is asked there about what is no task's.
#[derive(Clone)]
pub struct BottomLines(Arc<Mutex<Screen>>);

impl BottomLines {
    pub fn put_away_while<T>(&self, ask: impl FnOnce() -> T) -> T {
        lock(&self.0).put_away();
        let answer = ask();
        lock(&self.0).bring_back();
        answer
    }
}

impl Terminal {
    /// On standard output, which is a terminal.
    pub fn stdout(loudness: Loudness, palette: Palette) -> Self {
        let size = || Term::stdout().size();
        let mut terminal = Self::on(
            Box::new(Term::buffered_stdout()),
            Box::new(size),
            loudness,
            palette,
        );
        terminal.clock = Some(terminal.wind_up());
        terminal
    }

    /// On any terminal; its timers move with events only.
    pub fn on(term: Box<dyn TermLike>, size: Size, loudness: Loudness, palette: Palette) -> Self {
        // Our own clock decides how often is drawn: with a limit of its own, indicatif leaves lines behind.
        let term = Parked::on(term);
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let screen = Screen {
            narration: Narration::new(loudness, palette),
            board: Board::default(),
            term,
            lines: MultiProgress::with_draw_target(target),
            slots: Vec::new(),
            size,
            questions: 0,
        };
        Self {
            screen: Arc::new(Mutex::new(screen)),
            clock: None,
        }
    }

    pub fn bottom_lines(&self) -> BottomLines {
        BottomLines(self.screen.clone())
    }

    fn wind_up(&self) -> (Sender<()>, JoinHandle<()>) {
        let screen = self.screen.clone();
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                lock(&screen).refresh();
            }
        });
        (stop, thread)
    }
}

impl Sink for Terminal {
    fn take(&mut self, event: &Event) {
        lock(&self.screen).take(event, self.clock.is_none());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.clock.take() {
            drop(stop);
            let _ = thread.join();
        }
        lock(&self.screen).show(&[]);
    }
}

impl Screen {
    fn take(&mut self, event: &Event, refresh: bool) {
        self.board.take(event, Instant::now());
        let said = self.narration.tell(event);
        match event {
            Event::Asking { .. } => self.put_away(),
            Event::Answered { .. } => self.bring_back(),
            // The last lines are to stand alone.
            Event::RunFinished { .. } => self.show(&[]),
            _ => {}
        }
        let lines: Vec<String> = said.err.into_iter().chain(said.out).collect();
        if !lines.is_empty() {
            self.term.hold();
            // A question that waits for its answer stays as it is.
            let asked = self.questions > 0;
            self.lines.suspend(|| self.term.print(&lines, asked));
        }
        if refresh {
            self.refresh();
        }
    }

    fn put_away(&mut self) {
        self.show(&[]);
        self.questions += 1;
    }

    fn bring_back(&mut self) {
        self.questions = self.questions.saturating_sub(1);
    }

    fn refresh(&mut self) {
        if self.questions > 0 {
            return;
        }
        // Half of the screen stays for what scrolls by.
        let (rows, columns) = (self.size)();
        let room = ((usize::from(rows) / 2).max(1), usize::from(columns));
        let lines = self.board.lines(Instant::now(), room, self.narration.palette());
        let ended = |line: &String| format!("{line}{END_OF_BOTTOM_LINE}");
        self.show(&lines.iter().map(ended).collect::<Vec<_>>());
    }

    fn show(&mut self, lines: &[String]) {
        while self.slots.len() > lines.len() {
            let Some(slot) = self.slots.pop() else { break };
            slot.finish_and_clear();
            self.lines.remove(&slot);
        }
        while self.slots.len() < lines.len() {
            let slot = ProgressBar::no_length();
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                slot.set_style(style);
            }
            self.slots.push(self.lines.add(slot));
        }
        for (slot, line) in self.slots.iter().zip(lines) {
            if slot.message() != *line {
                slot.set_message(line.clone());
            }
        }
    }
}

fn lock(screen: &Mutex<Screen>) -> std::sync::MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}
