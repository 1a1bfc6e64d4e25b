//! What a node has preloaded, as kind's own node image has it: the control plane, DNS, storage and the sandbox.
//!
//! Each image is one static program, but kube-proxy's, which calls programs of Debian.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::config::{COREDNS_TAG, ETCD_TAG, REPOSITORY};
use crate::error::{Doing, Result, output_of};
use crate::image::{self, Entry, Image};
use crate::supply::{Supply, Tool};

/// Where Debian keeps the extensions of iptables.
const EXTENSIONS: &str = "usr/lib/x86_64-linux-gnu/xtables";

/// Writes the archives into `folder`, anew.
pub(super) fn make(supply: &Supply, root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).doing(|| format!("create {}", folder.display()))?;
    let version = fs::read_to_string(root.join("kind/version")).doing(|| "read kind's version".to_owned())?;
    let version = version.trim();
    let mut images = Vec::new();
    for (tool, tag) in [
        (Tool::KubeApiserver, version),
        (Tool::KubeControllerManager, version),
        (Tool::KubeScheduler, version),
        (Tool::Etcd, ETCD_TAG),
        (Tool::Coredns, COREDNS_TAG),
        (Tool::LocalPathProvisioner, "1"),
    ] {
        images.push((tool.name(), one_program(supply, tool, tag)));
    }
    images.push(("busybox", image::busybox(&reference("busybox", "1"))?));
    images.push(("pause", Image { reference: reference("pause", "1"), ..image::pause() }));
    images.push(("kube-proxy", kube_proxy(supply, root, version)?));
    let write = |(name, image): (&str, Image)| {
        let archive = folder.join(format!("{name}.tar"));
        image.write(&archive).map(|()| archive)
    };
    images.into_iter().map(write).collect()
}

fn reference(name: &str, tag: &str) -> String {
    format!("{REPOSITORY}/{name}:{tag}")
}

/// An image of one static program.
fn one_program(supply: &Supply, tool: Tool, tag: &str) -> Image {
    let to = format!("usr/local/bin/{}", tool.name());
    Image {
        reference: reference(tool.name(), tag),
        entrypoint: vec![format!("/{to}")],
        entries: vec![Entry::Program { from: supply.path(tool), to }, Entry::Directory("tmp".to_owned())],
    }
}

/// kube-proxy with the firewall programs that it calls, and the libraries that these are linked with.
fn kube_proxy(supply: &Supply, root: &Path, version: &str) -> Result<Image> {
    let mut image = one_program(supply, Tool::KubeProxy, version);
    let mut files =
        vec!["usr/sbin/xtables-nft-multi".into(), "usr/sbin/nft".into(), "usr/sbin/conntrack".into()];
    let extensions = root.join(EXTENSIONS);
    for entry in fs::read_dir(&extensions).doing(|| format!("read {}", extensions.display()))? {
        let name = entry.doing(|| format!("read {}", extensions.display()))?.file_name();
        files.push(format!("{EXTENSIONS}/{}", name.to_string_lossy()));
    }
    files.sort();
    let libraries = libraries(root, &files)?;
    let program = |file: &String| Entry::Program { from: root.join(file), to: file.clone() };
    image.entries.extend(files.iter().chain(&libraries).map(program));
    for name in ["iptables", "ip6tables"] {
        for action in ["", "-save", "-restore"] {
            let (at, target) = (format!("usr/sbin/{name}{action}"), "xtables-nft-multi".to_owned());
            image.entries.push(Entry::Link { at, target });
        }
    }
    Ok(image)
}

/// The shared libraries of these files, as the file system's own `ldd` finds them.
fn libraries(root: &Path, files: &[String]) -> Result<BTreeSet<String>> {
    let mut ldd = Command::new("chroot");
    ldd.arg(root).arg("ldd").args(files.iter().map(|file| format!("/{file}")));
    let said = output_of(&mut ldd)?;
    let words = said.split_whitespace().filter(|word| word.starts_with("/lib") && !word.ends_with(':'));
    Ok(words.map(|path| path.trim_start_matches('/').to_owned()).collect())
}
