//! Compiles the programs of the images.
//!
//! They are linked with everything they need, the C library included, so an image needs no distribution. This stands in
//! a target folder of its own: the flags differ from those of an ordinary build, and cargo would compile everything
//! again each time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::Profile;
use super::contents::{Image, Program};
use crate::workspace;

/// The target of this machine. With a target named, the flags are not applied to build scripts and macros, which run
/// here and are loaded dynamically.
const TARGET: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

/// Builds the programs of all `images` in one go, and says where each is.
pub(super) fn programs(
    images: &[&'static Image],
    profile: Profile,
) -> Result<BTreeMap<&'static Program, PathBuf>> {
    let programs: BTreeSet<_> = images.iter().flat_map(|image| image.programs).collect();
    let target = workspace::root().join("target/image");
    let mut cargo = workspace::cargo();
    cargo
        .args(["build", "--locked", "--profile", profile.name(), "--target", TARGET, "--target-dir"])
        .arg(&target);
    for program in &programs {
        cargo.args(["--package", program.package, "--bin", program.name]);
    }
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags());
    ensure!(cargo.status()?.success(), "the programs of the images cannot be built");
    let folder = target.join(TARGET).join(profile.name());
    Ok(programs.into_iter().map(|program| (program, folder.join(program.name))).collect())
}

/// Where a program lies that was built with this profile.
pub(crate) fn built(program: &str, profile: &str) -> PathBuf {
    workspace::root().join("target/image").join(TARGET).join(profile).join(program)
}

/// Static, and the same bytes wherever the sources lie.
fn flags() -> String {
    let sources = workspace::root().display();
    ["-Ctarget-feature=+crt-static".into(), format!("--remap-path-prefix={sources}=greenroom")].join("\x1f")
}
