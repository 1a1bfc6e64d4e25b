//! `cargo xtask image`: container images, made without a container engine.
//!
//! Which images there are and which programs are in them stands in [`contents`], and nowhere else: the Dockerfile asks
//! for the same tree of files. The programs are linked statically, so an image holds them and a handful of small files,
//! no distribution. [`archive`] packs the tree as an archive that every tool can load.

mod archive;
mod build;
mod contents;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

pub(crate) use build::built;

use crate::workspace;

/// Build the container images, without a container engine.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which images, such as `greenroom`; without it, all.
    images: Vec<String>,
    /// Where the archives are written [default: target/image/archives of the workspace].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// How the programs are compiled.
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// What the images' names begin with.
    #[arg(long, value_name = "NAME", default_value = "greenroom.dev")]
    registry: String,
    /// Their tag; given more than once, each image has all of them.
    #[arg(long = "tag", value_name = "TAG", default_value = env!("CARGO_PKG_VERSION"))]
    tags: Vec<String>,
    /// Load them into the cluster of `cargo xtask cluster up`.
    #[arg(long)]
    load: bool,
    /// Write the files of the one image here as a tree, and no archive; the Dockerfile copies them.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "load"])]
    tree: Option<PathBuf>,
}

impl Args {
    /// All images as the end-to-end scenarios want them, in `output`.
    pub(crate) fn for_scenarios(registry: &str, tags: &[&str], output: &Path) -> Self {
        Self {
            images: Vec::new(),
            output: Some(output.to_owned()),
            profile: Profile::Dev,
            registry: registry.into(),
            tags: tags.iter().map(|&tag| tag.into()).collect(),
            load: false,
            tree: None,
        }
    }
}

/// How the programs are compiled: a build profile of the workspace.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Profile {
    /// As they are released.
    Release,
    /// For end-to-end tests: of what the workspace is built of for its tests, in a fraction of the time.
    Dev,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let images = contents::chosen(&args.images)?;
    ensure!(args.tree.is_none() || images.len() == 1, "a tree holds one image; name the one you want");
    let output = match &args.output {
        Some(folder) => std::path::absolute(folder)?,
        None => workspace::root().join("target/image/archives"),
    };
    let programs = build::programs(&images, args.profile)?;
    for image in images {
        let files = contents::files(image, &programs)?;
        if let Some(tree) = &args.tree {
            contents::write(&files, tree)?;
            continue;
        }
        let name = format!("{}/{}", args.registry, image.name);
        let file = output.join(format!("{}.tar", image.name));
        write_archive(&file, &archive::pack(image, &files, &name, &args.tags)?)?;
        args.tags.iter().for_each(|tag| println!("{name}:{tag}  {}", file.display()));
        if args.load {
            let mut load = workspace::cargo();
            load.args(["run", "--quiet", "--package", "greenroom-e2e-cluster", "--", "load-image"])
                .arg(&file);
            ensure!(load.status()?.success(), "cannot load {}; is the cluster up?", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whoever reads the archive while it is made again sees the old one or the new one.
fn write_archive(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().expect("an archive lies in a folder");
    fs::create_dir_all(folder)?;
    let part = file.with_extension("tar.part");
    fs::write(&part, bytes).with_context(|| format!("cannot write {}", part.display()))?;
    fs::rename(&part, file).with_context(|| format!("cannot write {}", file.display()))
}
