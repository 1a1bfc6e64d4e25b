//! Container images made of files of this machine, as archives that `ctr images import`, `kind load` and `docker load`
//! take: one layer, and a `manifest.json` that names it. No engine and no registry is needed.
//!
//! The same files give the same archive, byte by byte: entries are sorted and carry no times.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::error::{Doing, Result};

/// An image that is being put together.
pub(crate) struct Image {
    reference: String,
    entrypoint: Vec<String>,
    entries: BTreeMap<PathBuf, Entry>,
}

enum Entry {
    Folder,
    File { source: PathBuf, mode: u32 },
    Link { target: String },
}

impl Image {
    /// An image of this name, `repository:tag`, that starts this program with these arguments.
    pub(crate) fn new(reference: impl Into<String>, entrypoint: &[&str]) -> Self {
        let image = Self {
            reference: reference.into(),
            entrypoint: entrypoint.iter().map(|&word| word.to_owned()).collect(),
            entries: BTreeMap::new(),
        };
        image.folder("tmp")
    }

    /// Puts a file of this machine there, as a program.
    pub(crate) fn program(self, source: impl Into<PathBuf>, path: &str) -> Self {
        self.file(source, path, 0o755)
    }

    /// Puts a file of this machine there.
    pub(crate) fn file(self, source: impl Into<PathBuf>, path: &str, mode: u32) -> Self {
        self.with(path, Entry::File { source: source.into(), mode })
    }

    /// Puts a symbolic link there.
    pub(crate) fn link(self, target: &str, path: &str) -> Self {
        self.with(path, Entry::Link { target: target.to_owned() })
    }

    /// Puts an empty folder there.
    pub(crate) fn folder(self, path: &str) -> Self {
        self.with(path, Entry::Folder)
    }

    fn with(mut self, path: &str, entry: Entry) -> Self {
        let path = PathBuf::from(path.trim_start_matches('/'));
        for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            self.entries.entry(folder.to_owned()).or_insert(Entry::Folder);
        }
        self.entries.insert(path, entry);
        self
    }

    /// Writes the archive; a half-written one is never left under that name.
    pub(crate) fn write(&self, archive: &Path) -> Result<()> {
        let layer = archive.with_extension("layer");
        let doing = || format!("write {}", layer.display());
        let mut tar = Builder::new(BufWriter::new(File::create(&layer).doing(doing)?));
        for (path, entry) in &self.entries {
            append(&mut tar, path, entry)?;
        }
        tar.into_inner().and_then(|mut file| file.flush()).doing(doing)?;
        let config = config(&self.entrypoint, &[], &digest(&layer)?);
        pack(archive, &self.reference, &config, &layer)
    }
}

fn append(tar: &mut Builder<impl Write>, path: &Path, entry: &Entry) -> Result<()> {
    let mut header = Header::new_gnu();
    match entry {
        Entry::Folder => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(if path == Path::new("tmp") { 0o1777 } else { 0o755 });
            header.set_size(0);
            tar.append_data(&mut header, path, std::io::empty())
        }
        Entry::Link { target } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_link(&mut header, path, target)
        }
        Entry::File { source, mode } => {
            let file = File::open(source).doing(|| format!("open {}", source.display()))?;
            let size = file.metadata().doing(|| format!("read {}", source.display()))?.len();
            header.set_mode(*mode);
            header.set_size(size);
            tar.append_data(&mut header, path, file)
        }
    }
    .doing(|| format!("pack {}", path.display()))
}

/// An image's configuration, for its only layer.
pub(crate) fn config(entrypoint: &[String], env: &[&str], layer: &str) -> serde_json::Value {
    let path = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
    let env: Vec<&str> = path.iter().chain(env).copied().collect();
    json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Entrypoint": entrypoint, "Env": env},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
    })
}

/// Packs a finished layer into an archive, and removes it.
pub(crate) fn pack(archive: &Path, reference: &str, config: &serde_json::Value, layer: &Path) -> Result<()> {
    let unfinished = archive.with_extension("unfinished");
    let doing = || format!("write {}", unfinished.display());
    let mut tar = Builder::new(BufWriter::new(File::create(&unfinished).doing(doing)?));
    let mut add = |name: &str, size: u64, content: &mut dyn Read| {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(size);
        tar.append_data(&mut header, name, content).doing(doing)
    };
    let config = config.to_string();
    add("config.json", config.len() as u64, &mut config.as_bytes())?;
    let mut file = File::open(layer).doing(|| format!("open {}", layer.display()))?;
    let size = file.metadata().doing(|| format!("read {}", layer.display()))?.len();
    add("layer.tar", size, &mut file)?;
    let manifest = json!([{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]).to_string();
    add("manifest.json", manifest.len() as u64, &mut manifest.as_bytes())?;
    tar.into_inner().and_then(|mut file| file.flush()).doing(doing)?;
    fs::remove_file(layer).doing(|| format!("remove {}", layer.display()))?;
    fs::rename(&unfinished, archive).doing(|| format!("put {} in place", archive.display()))
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn digest(file: &Path) -> Result<String> {
    let doing = || format!("read {}", file.display());
    let mut digest = Sha256::new();
    let mut source = File::open(file).doing(doing)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = source.read(&mut buffer).doing(doing)?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_archive_and_folders_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("p");
        fs::write(&program, "program").unwrap();
        let archives = ["a.tar", "b.tar"].map(|name| {
            let archive = folder.path().join(name);
            Image::new("x.test/p:1", &["/bin/p"])
                .program(&program, "/bin/p")
                .link("p", "/bin/q")
                .write(&archive)
                .unwrap();
            fs::read(&archive).unwrap()
        });
        assert!(archives[0] == archives[1]);
        let mut names = Vec::new();
        let mut archive = tar::Archive::new(&archives[0][..]);
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.path().unwrap() == Path::new("layer.tar") {
                let mut layer = Vec::new();
                entry.read_to_end(&mut layer).unwrap();
                let mut layer = tar::Archive::new(&layer[..]);
                names.extend(layer.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()));
            }
        }
        assert_eq!(names, ["bin", "bin/p", "bin/q", "tmp"]);
    }
}
