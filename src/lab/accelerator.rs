//! What runs the processors of virtual machines: this machine's own, where its KVM
//! works, or QEMU's emulation of one.
//!
//! That there is a /dev/kvm says little: inside of other virtual machines it may start
//! and then crawl, or give up at the first register that it does not know. So the kernel
//! that the machines will run is run with it, as far as it comes without a disk.

use std::path::Path;
use std::time::Duration;

use super::program;

/// How long the kernel may take to find that it has no disk: a second with KVM that works.
const PATIENCE: &str = "15";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    Kvm,
    Emulation,
}

impl Accelerator {
    /// KVM if this kernel runs under it.
    pub fn find(kernel: &Path) -> Self {
        if Path::new("/dev/kvm").exists() && boots(Self::Kvm, kernel) {
            Self::Kvm
        } else {
            Self::Emulation
        }
    }

    /// QEMU's options for it.
    pub fn options(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            // Translated code is kept in a gigabyte for each machine, unless told otherwise. And a
            // processor with wide registers is one whose every string function takes longer.
            Self::Emulation => ["-accel", "tcg,tb-size=256", "-cpu", "Nehalem"],
        }
    }

    /// What the kernel is told beside. To guard against a processor's weaknesses costs a third of
    /// all time where it is not there.
    pub fn kernel_options(self) -> &'static str {
        match self {
            Self::Kvm => "",
            Self::Emulation => " mitigations=off",
        }
    }

    /// How long a machine may take until it answers.
    pub fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::Kvm => 90,
            Self::Emulation => 400,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Emulation => "software emulation",
        }
    }
}

/// Whether the kernel comes as far as to miss its disk, after which it ends QEMU.
fn boots(accelerator: Accelerator, kernel: &Path) -> bool {
    let kernel = kernel.display().to_string();
    let mut words = vec!["timeout", "-k", "1", PATIENCE, "qemu-system-x86_64"];
    words.extend(accelerator.options());
    words.extend(["-machine", "q35", "-m", "256", "-nodefaults", "-no-user-config"]);
    words.extend(["-display", "none", "-no-reboot", "-serial", "stdio"]);
    words.extend([
        "-kernel",
        &kernel,
        "-append",
        "console=ttyS0 panic=-1 root=/dev/none",
    ]);
    program::run(&words).is_ok_and(|said| said.contains("Kernel panic"))
}
