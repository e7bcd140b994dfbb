//! The lab: throwaway machines to try playbooks on, as systemd containers.
//!
//! ```text
//! recipe   what the root file systems are made of, and their hash     built once, kept
//! rhel     what RHEL has and Debian has not
//! mirror   where this machine's apt fetches from
//! hosts    the machines: name, address, root, login
//! machine  one host: an overlay on a root, its files, its container    fresh each time
//! network  a namespace with a bridge, and no way out
//! process  what was started, known by pid and start time
//! kernel   the modules they see
//! enter    this program again, inside the namespace
//! delay    a slow line to the hosts, for measuring
//! ```
//!
//! Everything of a lab lies below two directories: the roots, which are only ever
//! replaced as a whole, and the state, which `down` removes. Both are read from
//! the file system each time, so a command that was killed half-way leaves
//! nothing that the next one does not see.

pub mod delay;
mod enter;
mod hosts;
mod inventory;
mod kernel;
mod machine;
mod mirror;
mod network;
mod place;
mod process;
mod program;
mod recipe;
mod requirements;
mod rhel;
mod tools;

use std::fs;
use std::time::{Duration, Instant};

pub use enter::{enter, is_inside};
pub use hosts::{HOSTS, Host};
pub use place::Place;
pub use tools::{install_tools, missing_tools};

use crate::source::Diagnostic;

/// Takes one line of progress at a time.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// How one host of a lab is.
pub struct HostStatus {
    pub name: &'static str,
    pub address: &'static str,
    pub os: &'static str,
    pub user: &'static str,
    /// Its container runs.
    pub up: bool,
    /// Its sshd answers.
    pub answers: bool,
}

/// Starts the hosts that do not run; builds the root file systems first where
/// the recipe has changed since. The hosts answer SSH when this returns.
pub fn up(place: &Place, progress: Progress) -> Result<(), Diagnostic> {
    tools::require()?;
    if is_up(place) {
        return Ok(());
    }
    requirements::require(place)?;
    let _lock = place.lock()?;
    // Another command may have been first.
    if is_up(place) {
        return Ok(());
    }
    let roots = recipe::build(place, progress)?;
    start(place, &roots, progress)
}

/// Ends the hosts and leaves no process, mount or namespace of them; the root
/// file systems stay.
pub fn down(place: &Place, progress: Progress) -> Result<(), Diagnostic> {
    tools::require_root()?;
    let _lock = place.lock()?;
    stop(place, progress)?;
    place.remove_lock()
}

/// Fresh hosts in the place of the old ones.
pub fn reset(place: &Place, progress: Progress) -> Result<(), Diagnostic> {
    tools::require()?;
    let _lock = place.lock()?;
    let roots = recipe::build(place, progress)?;
    stop(place, progress)?;
    start(place, &roots, progress)
}

pub fn status(place: &Place) -> Vec<HostStatus> {
    HOSTS
        .iter()
        .map(|host| {
            let up = machine::runs(place, host);
            HostStatus {
                name: host.name,
                address: host.address,
                os: host.os,
                user: host.user,
                up,
                answers: up && machine::answers(place, host),
            }
        })
        .collect()
}

/// Whether the lab is up, as far as anybody can see without being root.
pub fn is_up(place: &Place) -> bool {
    HOSTS.iter().all(|host| machine::runs(place, host))
}

/// The inventory of a lab that is up, as YAML.
pub fn inventory(place: &Place) -> Result<String, Diagnostic> {
    require_up(place)?;
    tools::require_root()?;
    fs::read_to_string(place.inventory()).map_err(|error| {
        Diagnostic::error(format!(
            "the inventory {} cannot be read: {error}",
            place.inventory().display()
        ))
        .help("`vmstation lab up` writes it")
    })
}

/// The program and arguments of the system's ssh for one host, or an error with
/// the names that there are. `command` may be empty: a login shell.
pub fn ssh(place: &Place, host: &str, command: &[String]) -> Result<Vec<String>, Diagnostic> {
    require_up(place)?;
    tools::require_root()?;
    let (user, name) = host.split_once('@').unwrap_or(("", host));
    let known = hosts::find(name)?;
    let user = if user.is_empty() { known.user } else { user };
    let mut words = network::inside(place);
    words.extend(["ssh", "-i"].map(str::to_owned));
    words.push(place.key().display().to_string());
    for option in [
        "IdentitiesOnly=yes".to_owned(),
        "LogLevel=ERROR".to_owned(),
        format!("UserKnownHostsFile={}", place.known_hosts().display()),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
    ] {
        words.extend(["-o".to_owned(), option]);
    }
    words.push(format!("{user}@{}", known.address));
    words.extend_from_slice(command);
    Ok(words)
}

/// Starts, or finds, a line that delays each round trip by `milliseconds`, and
/// tells the path of the inventory that goes through it.
pub fn delayed(place: &Place, milliseconds: u32) -> Result<std::path::PathBuf, Diagnostic> {
    require_up(place)?;
    tools::require_root()?;
    let _lock = place.lock()?;
    delay::start(place, milliseconds)
}

fn require_up(place: &Place) -> Result<(), Diagnostic> {
    if is_up(place) {
        return Ok(());
    }
    let option = place.option();
    let half = half_up(place);
    Err(match half {
        Some(down) => Diagnostic::error(format!("{down} of the lab `{}` does not run", place.name()))
            .help(format!("vmstation lab{option} reset")),
        None => Diagnostic::error(format!("the lab `{}` is not up", place.name()))
            .help(format!("vmstation lab{option} up")),
    })
}

/// The first host that does not run, where others do.
fn half_up(place: &Place) -> Option<&'static str> {
    let runs = |host: &&Host| machine::runs(place, host);
    let down = HOSTS.iter().find(|host| !runs(host))?;
    HOSTS.iter().find(runs).map(|_| down.name)
}

fn start(place: &Place, roots: &recipe::Roots, progress: Progress) -> Result<(), Diagnostic> {
    let began = Instant::now();
    // Half a lab is not repaired: the keys and the network belong together.
    if let Some(down) = half_up(place) {
        progress(&format!("{down} does not run: all hosts are made anew"));
    }
    stop(place, &mut |_| {})?;
    place.create()?;
    network::create(place)?;
    machine::make_key(place)?;
    let names = machine::hosts_file();
    for host in HOSTS {
        progress(&format!("starting {} ({})", host.name, host.os));
        machine::create(place, host, &[roots.root(host.root)], &names)?;
        machine::start(place, host)?;
    }
    machine::write_known_hosts(place)?;
    place.write(&place.inventory(), &inventory::text(place))?;
    for host in HOSTS {
        if let Some(state) = machine::wait(place, host, Duration::from_secs(60))? {
            progress(&format!("{}: {state}", host.name));
        }
    }
    progress(&format!("up after {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}

fn stop(place: &Place, progress: Progress) -> Result<(), Diagnostic> {
    if !place.exists() {
        return Ok(());
    }
    progress(&format!("ending the lab `{}`", place.name()));
    delay::stop(place)?;
    machine::stop_all(place)?;
    network::remove(place)?;
    place.remove()
}
