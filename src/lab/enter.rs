//! This program again, inside the lab's network namespace.

use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::place::Place;
use super::{network, require_up, tools};
use crate::source::Diagnostic;

/// Set to the lab's name for a program that runs inside it.
const MARK: &str = "VMSTATION_INSIDE_LAB";

/// Whether this process was started inside this lab.
pub fn is_inside(place: &Place) -> bool {
    env::var_os(MARK).is_some_and(|name| name == place.name())
}

/// Replaces this process by the same program with the same arguments, inside the
/// lab's network; does nothing when it is inside already. `arguments` are those
/// after the program's name. Returns an error when the lab is not up, or when we
/// are not root.
pub fn enter(place: &Place, arguments: impl IntoIterator<Item = OsString>) -> Result<(), Diagnostic> {
    if is_inside(place) {
        return Ok(());
    }
    require_up(place)?;
    tools::require_root()?;
    replace(place, arguments).map(|never| match never {})
}

fn replace(place: &Place, arguments: impl IntoIterator<Item = OsString>) -> Result<Infallible, Diagnostic> {
    let program = env::current_exe().map_err(|error| {
        Diagnostic::error(format!("this program cannot find its own file: {error}"))
            .help("start it by its full path")
    })?;
    let words = network::inside(place);
    let error = Command::new(&words[0])
        .args(&words[1..])
        .arg(program)
        .args(arguments)
        .env(MARK, place.name())
        .exec();
    Err(
        Diagnostic::error(format!("`{}` cannot be started: {error}", words[0]))
            .help("apt-get install -y util-linux"),
    )
}
