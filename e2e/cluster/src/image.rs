//! Packs files into a container image, without a container engine.
//!
//! The result is a docker-archive of one layer (`manifest.json`, configuration, layer), which containerd, Docker and
//! kind import. The same files give the same bytes: no times, no owners but root.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::error::{Doing, Result};

/// A file of an image.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A program: a copy of `from`, which everybody may run.
    Program {
        /// A file of this machine.
        from: PathBuf,
        /// Its path in the image, without the leading slash.
        to: String,
    },
    /// A symbolic link.
    Link {
        /// The link's path in the image, without the leading slash.
        at: String,
        /// What it points to.
        target: String,
    },
    /// A directory that everybody may write to.
    Directory(String),
}

/// An image with one layer.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its full name: `registry/name:tag`.
    pub reference: String,
    /// The files.
    pub entries: Vec<Entry>,
    /// The program that it starts, with arguments.
    pub entrypoint: Vec<String>,
}

impl Image {
    /// Writes the image as a docker-archive.
    ///
    /// # Errors
    /// When a file cannot be read, or the archive not be written.
    pub fn write(&self, archive: &Path) -> Result<()> {
        let what = || format!("pack {} into {}", self.reference, archive.display());
        let unfinished = archive.with_extension("unfinished");
        let written = self.try_write(&unfinished).and_then(|()| std::fs::rename(&unfinished, archive));
        written.doing(what)
    }

    fn try_write(&self, path: &Path) -> std::io::Result<()> {
        let layer = self.layer()?;
        let layer_digest = HEXLOWER.encode(&Sha256::digest(&layer));
        let configuration = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": self.entrypoint,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
            "history": [{"created": "1970-01-01T00:00:00Z"}],
        })
        .to_string();
        let configuration_name = format!("{}.json", HEXLOWER.encode(&Sha256::digest(&configuration)));
        let layer_name = format!("{layer_digest}/layer.tar");
        let manifest = json!([{
            "Config": configuration_name, "RepoTags": [self.reference], "Layers": [layer_name],
        }])
        .to_string();
        let mut archive = tar::Builder::new(File::create(path)?);
        append(&mut archive, &configuration_name, configuration.as_bytes(), 0o644)?;
        append(&mut archive, &layer_name, &layer, 0o644)?;
        append(&mut archive, "manifest.json", manifest.as_bytes(), 0o644)?;
        archive.into_inner()?.sync_all()
    }

    fn layer(&self) -> std::io::Result<Vec<u8>> {
        let mut layer = tar::Builder::new(Vec::new());
        for entry in &self.entries {
            match entry {
                Entry::Program { from, to } => append(&mut layer, to, &std::fs::read(from)?, 0o755)?,
                Entry::Link { at, target } => {
                    let mut header = tar::Header::new_gnu();
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    header.set_mode(0o777);
                    layer.append_link(&mut header, at, target)?;
                }
                Entry::Directory(at) => {
                    let mut header = tar::Header::new_gnu();
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_size(0);
                    header.set_mode(0o1777);
                    layer.append_data(&mut header, at, std::io::empty())?;
                }
            }
        }
        layer.into_inner()
    }
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    bytes: &[u8],
    mode: u32,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    archive.append_data(&mut header, name, bytes)
}

/// Debian's static busybox.
pub(crate) const BUSYBOX: &str = "/usr/bin/busybox";

/// An image with a shell and the small Unix programs, each a link to busybox.
///
/// # Errors
/// When the package `busybox-static` is not installed.
pub fn busybox(reference: &str) -> Result<Image> {
    let applets = crate::error::output_of(std::process::Command::new(BUSYBOX).arg("--list"))?;
    let mut entries = vec![
        Entry::Program { from: BUSYBOX.into(), to: "bin/busybox".to_owned() },
        Entry::Directory("tmp".to_owned()),
    ];
    let links = applets.lines().filter(|&applet| applet != "busybox");
    entries.extend(
        links.map(|applet| Entry::Link { at: format!("bin/{applet}"), target: "busybox".to_owned() }),
    );
    Ok(Image { reference: reference.to_owned(), entries, entrypoint: vec!["/bin/sh".to_owned()] })
}

/// The image of a pod's first container, which holds the pod's namespaces: it ends when told to, and `wait` reaps the
/// orphans of pods that share their process numbers.
pub(crate) fn pause() -> Image {
    let script = r#"trap "exit 0" TERM INT; while :; do sleep 1000000 & wait; done"#;
    Image {
        reference: crate::node::PAUSE_IMAGE.to_owned(),
        entries: vec![Entry::Program { from: BUSYBOX.into(), to: "bin/busybox".to_owned() }],
        entrypoint: ["/bin/busybox", "sh", "-c", script].map(str::to_owned).to_vec(),
    }
}
