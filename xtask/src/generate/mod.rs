//! `cargo xtask generate`: writes the files that are made from other files.
//!
//! Generated files are committed, so that nobody who builds Greenroom needs the generators. Every generator is
//! a function that returns its output in memory: writing and checking for staleness are the same walk over the
//! same list, and a test of the `tidy` module makes the check part of every test run.

mod chart;
mod crds;
mod proto;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::workspace;

/// Write the generated files: Rust code from the .proto files, the charts' CRDs and values,
/// the reference of the custom resources.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail and name the files that are stale.
    #[arg(long)]
    check: bool,
}

/// The output of all generators. Paths are relative to the root of the workspace.
#[derive(Default)]
struct Outputs {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Folders that hold nothing but generated files: whatever else lies there is left over.
    folders: Vec<PathBuf>,
}

/// What must happen to one file before it agrees with its generator.
#[derive(Debug, PartialEq)]
enum Change {
    Write(PathBuf),
    Remove(PathBuf),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = workspace::root();
    let outputs = Outputs::generate(root)?;
    let changes = outputs.changes(root)?;
    for change in &changes {
        if args.check {
            println!("stale: {}", change.path().display());
        } else {
            outputs.apply(root, change)?;
        }
    }
    if !args.check {
        write_reference_pages(root)?;
    }
    if changes.is_empty() {
        println!("{} generated files are fresh", outputs.files.len());
    } else if args.check {
        println!("run `cargo xtask generate`");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Pages that are made from the definitions of a crate are made by a test of that crate, which also fails when they are
/// stale: so this program, which makes source code, needs none of it to compile.
fn write_reference_pages(root: &Path) -> Result<()> {
    for arguments in [
        ["greenroom", "--test", "reference"],
        ["greenroom-cli", "--lib", "reference"],
        ["greenroom-operator", "--test", "reference"],
    ] {
        let mut cargo = std::process::Command::new("cargo");
        cargo
            .args(["test", "--quiet", "--package"])
            .args(arguments)
            .env("UPDATE_DOCS", "1")
            .current_dir(root);
        let status = cargo.status().context("cannot run cargo")?;
        anyhow::ensure!(status.success(), "cannot write the reference pages of {}", arguments[0]);
    }
    Ok(())
}

/// The generated files that differ from what their generators say now.
#[cfg(test)]
pub(crate) fn stale_files(root: &Path) -> Result<Vec<PathBuf>> {
    let changes = Outputs::generate(root)?.changes(root)?;
    Ok(changes.iter().map(|change| change.path().to_owned()).collect())
}

impl Outputs {
    fn generate(root: &Path) -> Result<Self> {
        let mut outputs = Self::default();
        proto::generate(root, &mut outputs).context("cannot compile the .proto files")?;
        crds::generate(&mut outputs);
        chart::generate(root, &mut outputs).context("cannot print the charts' definitions and values")?;
        Ok(outputs)
    }

    fn add(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), content.into());
    }

    fn changes(&self, root: &Path) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        for (path, wanted) in &self.files {
            if fs::read(root.join(path)).ok().as_ref() != Some(wanted) {
                changes.push(Change::Write(path.clone()));
            }
        }
        for folder in self.folders.iter().filter(|folder| root.join(folder).is_dir()) {
            for entry in fs::read_dir(root.join(folder))? {
                let path = folder.join(entry?.file_name());
                if !self.files.contains_key(&path) {
                    changes.push(Change::Remove(path));
                }
            }
        }
        Ok(changes)
    }

    fn apply(&self, root: &Path, change: &Change) -> Result<()> {
        let path = root.join(change.path());
        match change {
            Change::Write(relative) => {
                println!("write  {}", relative.display());
                fs::create_dir_all(path.parent().expect("a generated file lies below the root"))?;
                fs::write(&path, &self.files[relative])
            }
            Change::Remove(relative) => {
                println!("remove {}", relative.display());
                fs::remove_file(&path)
            }
        }
        .with_context(|| format!("cannot change {}", path.display()))
    }
}

impl Change {
    fn path(&self) -> &Path {
        let (Self::Write(path) | Self::Remove(path)) = self;
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs() -> Outputs {
        let mut outputs = Outputs { folders: vec!["made".into()], ..Outputs::default() };
        outputs.add("made/a.txt", "a");
        outputs.add("other/b.txt", "b");
        outputs
    }

    #[test]
    fn missing_files_are_written_and_then_nothing_is_stale() {
        let root = tempfile::tempdir().unwrap();
        let outputs = outputs();
        for change in outputs.changes(root.path()).unwrap() {
            outputs.apply(root.path(), &change).unwrap();
        }
        assert_eq!(fs::read_to_string(root.path().join("other/b.txt")).unwrap(), "b");
        assert_eq!(outputs.changes(root.path()).unwrap(), []);
    }

    #[test]
    fn an_edited_file_and_a_left_over_file_are_stale() {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in
            [("made/a.txt", "edited"), ("made/old.txt", ""), ("other/b.txt", "b"), ("other/c", "")]
        {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        assert_eq!(
            outputs().changes(root.path()).unwrap(),
            [Change::Write("made/a.txt".into()), Change::Remove("made/old.txt".into())]
        );
    }
}
