//! The lab: throwaway machines to try playbooks on, as systemd containers, or as virtual
//! machines where the kernel matters.
//!
//! ```text
//! recipe      what the root file systems are made of, and their hash     built once, kept
//! rhel        what RHEL has and Debian has not
//! mirror      where this machine's apt fetches from
//! hosts       the machines: name, address, root, login
//! machine     one host: an overlay on a root, its files, its container    fresh each time
//! image       the disks of virtual machines, with a kernel                 built once, kept
//! vm          one host as a virtual machine                               fresh each time
//! accelerator what runs its processor
//! network     a namespace with a bridge, and no way out
//! process     what was started, known by pid and start time
//! kernel      the modules they see
//! kubernetes  a control plane on one of them, where one is wanted         built once, kept
//! enter       this program again, inside the namespace
//! delay       a slow line to the hosts, for measuring
//! ```
//!
//! Everything of a lab lies below two directories: the roots and disks to start from,
//! which are only ever replaced as a whole, and the state, which `down` removes (with what
//! virtual machines write, which is on a real disk). Both are read from
//! the file system each time, so a command that was killed half-way leaves
//! nothing that the next one does not see.

mod accelerator;
pub mod delay;
mod enter;
mod hosts;
mod image;
mod inventory;
mod kernel;
mod kubernetes;
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
mod vm;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use accelerator::Accelerator;
pub use enter::{enter, is_inside};
pub use hosts::{HOSTS, Host};
pub use place::Place;
pub use tools::{install_tools, missing_tools};

use crate::source::Diagnostic;

const CONTAINERS_PATIENCE: Duration = Duration::from_secs(60);

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

/// What the hosts of a lab are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostsAre {
    /// Containers, which share this machine's kernel.
    Containers,
    /// Virtual machines, each with a kernel of its own.
    Machines,
}

/// What a lab has beside its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    None,
    /// A Kubernetes control plane, and three of the hosts as its nodes.
    Kubernetes,
}

/// Starts the hosts that do not run, waits for those that do; builds the root file systems first where
/// the recipe has changed since. The hosts answer SSH when this returns, and the
/// nodes are Ready. `accelerator`: what runs virtual machines; the best that works, unless told.
pub fn up(
    place: &Place,
    asked: HostsAre,
    accelerator: Option<Accelerator>,
    cluster: Cluster,
    progress: Progress,
) -> Result<(), Diagnostic> {
    tools::require(asked)?;
    accelerator.map_or(Ok(()), Accelerator::require)?;
    require_kind(place, asked, cluster)?;
    if !is_up(place) {
        requirements::require(place, asked, cluster)?;
    }
    // Whoever starts them has it until they answer.
    let _lock = place.lock()?;
    // Another command may have been first.
    require_kind(place, asked, cluster)?;
    if asked == HostsAre::Containers && kind(place) == Some(HostsAre::Machines) {
        progress(&format!(
            "the hosts of the lab `{}` are virtual machines, and stay so",
            place.name()
        ));
    }
    // One that was interrupted before all of it was written is made anew, as one of which half is gone.
    if is_up(place) && place.inventory().exists() {
        require_accelerator(place, accelerator)?;
        wait(place, patience(place), progress)?;
        if is_whole(place, cluster) {
            return Ok(());
        }
        require_programs(place)?;
        return start_cluster(place, progress);
    }
    // A lab of which half is gone comes back as what it was.
    let cluster = if kubernetes::is_wanted(place) {
        Cluster::Kubernetes
    } else {
        cluster
    };
    let kind = if place.exists() {
        kind(place).unwrap_or(asked)
    } else {
        asked
    };
    let accelerator = accelerator.or_else(|| Accelerator::kept(place));
    let made = Made::build(place, kind, accelerator, cluster, progress)?;
    start(place, &made, progress)
}

/// Ends the hosts and leaves no process, mount or namespace of them; the root
/// file systems stay.
pub fn down(place: &Place, progress: Progress) -> Result<(), Diagnostic> {
    tools::require_root()?;
    let _lock = place.lock()?;
    stop(place, progress)?;
    place.remove_lock()
}

/// Fresh hosts in the place of the old ones, and an empty cluster where there was one.
pub fn reset(place: &Place, progress: Progress) -> Result<(), Diagnostic> {
    let kind = kind(place).unwrap_or(HostsAre::Containers);
    tools::require(kind)?;
    let _lock = place.lock()?;
    let made = Made::build(place, kind, Accelerator::kept(place), cluster(place), progress)?;
    stop(place, progress)?;
    start(place, &made, progress)
}

pub fn status(place: &Place) -> Vec<HostStatus> {
    let virtual_machines = kind(place) == Some(HostsAre::Machines);
    hosts::of(place)
        .into_iter()
        .map(|host| {
            let up = machine::runs(place, host);
            HostStatus {
                name: host.name,
                address: host.address,
                os: host.os,
                user: host.user,
                up,
                answers: up
                    && if virtual_machines {
                        vm::answers(place, host)
                    } else {
                        machine::answers(place, host)
                    },
            }
        })
        .collect()
}

/// Whether the API of the lab's cluster answers; nothing where it has none.
pub fn api_answers(place: &Place) -> Option<bool> {
    (cluster(place) == Cluster::Kubernetes).then(|| kubernetes::answers(place))
}

/// What the hosts are; nothing where there is no lab.
fn kind(place: &Place) -> Option<HostsAre> {
    if place.virtual_mark().exists() {
        Some(HostsAre::Machines)
    } else {
        place.inventory().exists().then_some(HostsAre::Containers)
    }
}

/// An error where a lab is there and is of another kind than is asked for.
fn require_kind(place: &Place, asked: HostsAre, cluster: Cluster) -> Result<(), Diagnostic> {
    // One of which half is gone comes back as what it was.
    let (name, option) = (place.name(), place.option());
    let help = |more: &str| format!("vmstation lab{option} down, then: vmstation lab{option} up {more}");
    match (kind(place), asked, cluster) {
        (Some(HostsAre::Containers), HostsAre::Machines, _) => Err(Diagnostic::error(format!(
            "the lab `{name}` is there, and its hosts are containers"
        ))
        .help(help("--vms"))),
        (Some(HostsAre::Machines), _, Cluster::Kubernetes) => Err(Diagnostic::error(format!(
            "the lab `{name}` is there, and its hosts are virtual machines, which have no Kubernetes"
        ))
        .help(help("--kubernetes"))),
        _ => Ok(()),
    }
}

/// An error where machines run and were not asked for by this accelerator's name.
fn require_accelerator(place: &Place, asked: Option<Accelerator>) -> Result<(), Diagnostic> {
    let Some(asked) = asked.filter(|asked| Accelerator::kept(place) != Some(*asked)) else {
        return Ok(());
    };
    let (name, option, word) = (place.name(), place.option(), asked.word());
    Err(Diagnostic::error(format!(
        "the lab `{name}` is up, and was not started with `--accelerator {word}`"
    ))
    .help(format!(
        "vmstation lab{option} down, then: vmstation lab{option} up --vms --accelerator {word}"
    )))
}

/// What the lab was started with.
fn cluster(place: &Place) -> Cluster {
    if kubernetes::is_wanted(place) {
        Cluster::Kubernetes
    } else {
        Cluster::None
    }
}

/// Whether all runs that was asked for.
fn is_whole(place: &Place, cluster: Cluster) -> bool {
    // The kubeconfig is the last thing that starting the cluster makes.
    let cluster_is = || place.kubeconfig().exists() && kubernetes::answers(place);
    is_up(place) && (cluster == Cluster::None || cluster_is())
}

/// Whether the lab is up, as far as anybody can see without being root.
pub fn is_up(place: &Place) -> bool {
    hosts::of(place)
        .into_iter()
        .all(|host| machine::runs(place, host))
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
    let known = hosts::find(place, name)?;
    let user = if user.is_empty() { known.user } else { user };
    Ok(ssh_words(place, user, known, &[], command))
}

/// The same for a host that may not be up yet.
fn ssh_words(place: &Place, user: &str, host: &Host, options: &[String], command: &[String]) -> Vec<String> {
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
    words.extend_from_slice(options);
    words.push(format!("{user}@{}", host.address));
    words.extend_from_slice(command);
    words
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
    let (up, down): (Vec<_>, Vec<_>) = hosts::of(place)
        .into_iter()
        .partition(|host| machine::runs(place, host));
    up.first().and(down.first()).map(|host| host.name)
}

/// The programs are part of the hosts' roots, so they cannot come later.
fn require_programs(place: &Place) -> Result<(), Diagnostic> {
    if cluster(place) == Cluster::Kubernetes {
        return Ok(());
    }
    let (name, option) = (place.name(), place.option());
    Err(Diagnostic::error(format!(
        "the lab `{name}` is up, and was started without Kubernetes"
    ))
    .help(format!(
        "vmstation lab{option} down, then: vmstation lab{option} up --kubernetes"
    )))
}

/// What the hosts are made of, all there for as long as this is.
enum Made {
    Containers(Layers),
    Machines(image::Images, Option<Accelerator>),
}

/// What lies one above the other in a container.
struct Layers {
    roots: recipe::Roots,
    programs: Option<kubernetes::Programs>,
}

impl Made {
    fn build(
        place: &Place,
        kind: HostsAre,
        accelerator: Option<Accelerator>,
        cluster: Cluster,
        progress: Progress,
    ) -> Result<Self, Diagnostic> {
        let programs = match cluster {
            Cluster::None => None,
            Cluster::Kubernetes => Some(kubernetes::build(place, progress)?),
        };
        let roots = recipe::build(place, progress)?;
        Ok(match kind {
            HostsAre::Containers => Self::Containers(Layers { roots, programs }),
            HostsAre::Machines => Self::Machines(image::build(place, &roots, progress)?, accelerator),
        })
    }
}

impl Layers {
    /// The topmost first.
    fn of(&self, host: &Host) -> Vec<PathBuf> {
        let above = self.programs.iter().flat_map(|programs| programs.layers(host));
        above.chain([self.roots.root(host.root)]).collect()
    }
}

fn start(place: &Place, made: &Made, progress: Progress) -> Result<(), Diagnostic> {
    let began = Instant::now();
    // Half a lab is not repaired: the keys and the network belong together.
    if let Some(down) = half_up(place) {
        progress(&format!("{down} does not run: all hosts are made anew"));
    }
    stop(place, &mut |_| {})?;
    place.create()?;
    network::create(place)?;
    machine::make_key(place)?;
    match made {
        Made::Containers(layers) => start_containers(place, layers, progress)?,
        Made::Machines(images, accelerator) => start_machines(place, images, *accelerator, progress)?,
    }
    progress(&format!("up after {:.1} s", began.elapsed().as_secs_f64()));
    match made {
        Made::Containers(layers) if layers.programs.is_some() => start_cluster(place, progress),
        _ => Ok(()),
    }
}

fn start_containers(place: &Place, layers: &Layers, progress: Progress) -> Result<(), Diagnostic> {
    let names = machine::hosts_file();
    for host in HOSTS {
        progress(&format!("starting {} ({})", host.name, host.os));
        machine::create(place, host, &layers.of(host), &names)?;
        if let Some(programs) = &layers.programs {
            kubernetes::furnish(place, host, programs)?;
        }
        machine::start(place, host)?;
    }
    machine::write_known_hosts(place)?;
    let mut text = inventory::text(place);
    if layers.programs.is_some() {
        text.push_str(&kubernetes::inventory(place));
    }
    place.write(&place.packages_key(), &layers.roots.packages_key()?)?;
    place.write(&place.inventory(), &text)?;
    wait(place, CONTAINERS_PATIENCE, progress)
}

/// How long hosts that somebody else has started may take.
fn patience(place: &Place) -> Duration {
    match kind(place) {
        Some(HostsAre::Machines) => {
            let accelerator = Accelerator::kept(place).unwrap_or(Accelerator::Emulation);
            accelerator.patience(true)
        }
        _ => CONTAINERS_PATIENCE,
    }
}

/// Waits until every host is booted and lets people in.
fn wait(place: &Place, patience: Duration, progress: Progress) -> Result<(), Diagnostic> {
    let virtual_machines = kind(place) == Some(HostsAre::Machines);
    for host in hosts::of(place) {
        let state = if virtual_machines {
            vm::wait(place, host, patience)?
        } else {
            machine::wait(place, host, patience)?
        };
        if let Some(state) = state {
            progress(&format!("{}: {state}", host.name));
        }
    }
    Ok(())
}

fn start_machines(
    place: &Place,
    images: &image::Images,
    asked: Option<Accelerator>,
    progress: Progress,
) -> Result<(), Diagnostic> {
    place.write(&place.virtual_mark(), asked.map_or("", Accelerator::word))?;
    let (accelerator, why_not) = match asked {
        Some(accelerator) => (accelerator, None),
        None => Accelerator::find(&images.kernel()),
    };
    if let Some(why) = why_not {
        progress(&format!("KVM is not used: {why}"));
    }
    let names = machine::hosts_file();
    for host in hosts::of(place) {
        progress(&format!(
            "starting {} ({}, {})",
            host.name,
            host.os,
            accelerator.name()
        ));
        vm::create(place, host, images, &names)?;
        vm::start(place, host, images, accelerator)?;
    }
    machine::write_known_hosts(place)?;
    place.write(&place.inventory(), &inventory::text(place))?;
    wait(place, accelerator.patience(asked.is_some()), progress)?;
    for host in hosts::of(place) {
        if !vm::swaps(place, host)? {
            progress(&format!("{}: its swap is not on", host.name));
        }
    }
    Ok(())
}

fn start_cluster(place: &Place, progress: Progress) -> Result<(), Diagnostic> {
    let began = Instant::now();
    progress("starting Kubernetes");
    kubernetes::start_control_plane(place)?;
    progress(&format!(
        "the API answers after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    kubernetes::add_nodes(place)?;
    kubernetes::write_kubeconfig(place)?;
    progress(&format!(
        "the nodes are Ready after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
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
