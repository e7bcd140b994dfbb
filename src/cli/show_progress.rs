//! `vmstation lab show-progress`: plays a recorded run, so that its look can be judged without machines.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::run::reporter;
use crate::report::Loudness;
use crate::run::Event;
use crate::source::{Diagnostic, reason};

/// Play the events of a recorded run as they came
#[derive(Debug, Args)]
pub struct ShowProgressArgs {
    /// An events.jsonl, as in .vmstation/runs/latest
    events: PathBuf,
    /// How many times as fast
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    #[arg(short, long)]
    quiet: bool,
    #[arg(short = 'D', long)]
    diff: bool,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &ShowProgressArgs) -> Result<u8, Diagnostic> {
    let text = std::fs::read_to_string(&args.events)
        .map_err(|e| Diagnostic::error(format!("cannot read {}: {}", args.events.display(), reason(&e))))?;
    let (mut reporter, _) = reporter(Loudness {
        quiet: args.quiet,
        verbosity: args.verbose,
        diff: args.diff,
    });
    let mut begun: HashMap<String, Instant> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let event: Event = serde_json::from_str(line).map_err(|e| {
            Diagnostic::error(format!(
                "{}:{}: not an event: {e}",
                args.events.display(),
                number + 1
            ))
        })?;
        match &event {
            Event::TaskStarted { host, .. } => {
                begun.insert(host.clone(), Instant::now());
            }
            Event::TaskFinished { host, what, .. } => {
                let took = Duration::from_millis(what.milliseconds).div_f64(args.speed.max(0.01));
                let since = begun.get(host).map(Instant::elapsed).unwrap_or_default();
                std::thread::sleep(took.saturating_sub(since));
            }
            _ => {}
        }
        reporter.take(&event);
    }
    Ok(0)
}
