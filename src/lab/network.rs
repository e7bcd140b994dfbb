//! The lab's network: a namespace with a bridge in it, and no way out.

use super::hosts::CONTROLLER;
use super::place::Place;
use super::program;
use crate::source::Diagnostic;

/// The bridge that the hosts are plugged into.
pub const BRIDGE: &str = "br0";

pub fn create(place: &Place) -> Result<(), Diagnostic> {
    let name = place.namespace();
    program::run(&["ip", "netns", "add", &name])?;
    let address = format!("{CONTROLLER}/24");
    for words in [
        &["link", "set", "lo", "up"][..],
        &["link", "add", BRIDGE, "type", "bridge"],
        &["addr", "add", &address, "dev", BRIDGE],
        &["link", "set", BRIDGE, "up"],
    ] {
        let mut line = vec!["ip", "-n", &name];
        line.extend_from_slice(words);
        program::run(&line)?;
    }
    // The hosts' default route ends here. That it is there makes the usual facts
    // true; forwarding, with nowhere to forward to, makes an attempt to get out fail
    // at once ("unreachable") and not after minutes.
    let mut line = inside(place);
    line.extend(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"].map(str::to_owned));
    program::run(&line).map(drop)
}

/// Makes the end of a cable that is plugged into the bridge, for a virtual machine.
pub fn plug(place: &Place, cable: &str) -> Result<(), Diagnostic> {
    let name = place.namespace();
    for words in [
        &["tuntap", "add", "dev", cable, "mode", "tap"][..],
        &["link", "set", cable, "master", BRIDGE],
        &["link", "set", cable, "up"],
    ] {
        let mut line = vec!["ip", "-n", &name];
        line.extend_from_slice(words);
        program::run(&line)?;
    }
    Ok(())
}

/// Removes the namespace, also one that was only half made.
pub fn remove(place: &Place) -> Result<(), Diagnostic> {
    if !place.network().exists() {
        return Ok(());
    }
    program::run(&["ip", "netns", "delete", &place.namespace()]).map(drop)
}

/// The words that run what follows them inside the namespace. Not `ip netns exec`:
/// it mounts another /sys, in which containers find no control groups.
pub fn inside(place: &Place) -> Vec<String> {
    vec![
        "nsenter".to_owned(),
        format!("--net={}", place.network().display()),
        "--".to_owned(),
    ]
}
