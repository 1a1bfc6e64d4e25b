//! What a distribution packages well: the programs of a node that need the C library or the kernel's own interfaces.
//!
//! They are installed only when asked to (`--install`, or `CI=true`); otherwise the error says the command.

use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result, output_of};

/// A file that must be there, and the Debian package that brings it.
const NEEDED: [(&str, &str); 12] = [
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/sbin/nft", "nftables"),
    // containerd's portmap plugin and the kubelet call it.
    ("/usr/sbin/iptables", "iptables"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/usr/bin/busybox", "busybox-static"),
    ("/bin/ip", "iproute2"),
    ("/usr/bin/nsenter", "util-linux"),
    ("/usr/bin/unshare", "util-linux"),
    ("/bin/mount", "mount"),
    ("/bin/bash", "bash"),
    ("/bin/hostname", "hostname"),
];

/// Makes sure that what a node runs is installed.
///
/// # Errors
/// When something is missing and may not be installed, or could not be.
pub(crate) fn ensure(install: bool) -> Result<()> {
    ensure_these(&NEEDED, install)
}

/// Makes sure that these files are there, each from its package.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn ensure_these(needed: &[(&str, &'static str)], install: bool) -> Result<()> {
    let packages = missing(needed);
    if packages.is_empty() {
        return Ok(());
    }
    let words = ["apt-get", "install", "--yes", "--no-install-recommends"];
    let command = format!("{} {}", words.join(" "), packages.join(" "));
    if !install && std::env::var_os("CI").is_none_or(|ci| ci != "true") {
        return Err(Error::Missing(format!(
            "{} not installed; add --install, or run `{command}` as root",
            packages.join(", ")
        )));
    }
    eprintln!("{command} …");
    let apt = || {
        let mut apt = Command::new(words[0]);
        apt.args(&words[1..]).args(&packages).env("DEBIAN_FRONTEND", "noninteractive");
        output_of(&mut apt)
    };
    // The lists of a fresh image are empty or old: they are fetched only when they turn out to be.
    if apt().is_err() {
        output_of(Command::new("apt-get").arg("update"))?;
        apt()?;
    }
    match missing(needed) {
        rest if rest.is_empty() => Ok(()),
        rest => Err(Error::Missing(format!("{} still missing after `{command}`", rest.join(", ")))),
    }
}

fn missing(needed: &[(&str, &'static str)]) -> Vec<&'static str> {
    let mut packages: Vec<_> =
        needed.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}
