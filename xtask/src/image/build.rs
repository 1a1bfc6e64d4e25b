//! Compiles the programs of the images.
//!
//! They are linked with everything they need, the C library included, so an image needs no distribution. There are two
//! ways to that. A release is compiled in a target folder of its own: its flags differ from those of an ordinary build, and
//! cargo would compile everything again each time. For tests, everything that is not ours is taken as the workspace was
//! built, and only the programs get other flags, which no setting of cargo can say: a script in front of the compiler does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Profile;
use super::contents::{Image, Program};
use crate::workspace;

/// The target of this machine. With a target named, the flags are not applied to build scripts and macros, which run
/// here and are loaded dynamically.
const TARGET: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

/// Links the C library into the program, too.
const STATIC: &str = "-Ctarget-feature=+crt-static";

/// Builds the programs of all `images` in one go, and says where each is.
pub(super) fn programs(
    images: &[&'static Image],
    profile: Profile,
) -> Result<BTreeMap<&'static Program, PathBuf>> {
    let programs: BTreeSet<_> = images.iter().flat_map(|image| image.programs).collect();
    let mut cargo = match profile {
        Profile::Release => release(&programs),
        Profile::Dev => workspace::build(programs.iter().map(|program| program.name)),
    };
    if profile == Profile::Dev {
        cargo.env("RUSTC_WORKSPACE_WRAPPER", compiler(&folder())?);
    }
    ensure!(cargo.status()?.success(), "the programs of the images cannot be built");
    Ok(programs.into_iter().map(|program| (program, built(program.name, profile))).collect())
}

/// Where a program lies that was built with this profile.
pub(crate) fn built(program: &str, profile: Profile) -> PathBuf {
    let folder = match profile {
        Profile::Release => folder().join(TARGET).join("release"),
        Profile::Dev => workspace::root().join("target/debug"),
    };
    folder.join(program)
}

fn folder() -> PathBuf {
    workspace::root().join("target/image")
}

/// The same bytes wherever the sources lie.
fn release(programs: &BTreeSet<&Program>) -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--locked", "--release", "--target", TARGET, "--target-dir"]).arg(folder());
    for program in programs {
        cargo.args(["--package", program.package, "--bin", program.name]);
    }
    let flags = [STATIC.into(), format!("--remap-path-prefix={}=greenroom", workspace::root().display())];
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    cargo
}

/// A script that runs the compiler of its first argument, and adds what is said above for programs: they are static, and
/// without the names that a debugger wants, which make up half of an image.
fn compiler(folder: &Path) -> Result<PathBuf> {
    let script = folder.join("rustc");
    // Cargo also asks for what the compiler would do, with all types of crates at once, and never with `--emit`.
    let program = "*' --crate-type bin --emit='*";
    let flags = format!("case \"$*\" in {program}) set -- \"$@\" {STATIC} -Cstrip=symbols ;; esac");
    let written = fs::create_dir_all(folder).and_then(|()| {
        fs::write(&script, format!("#!/bin/sh\n{flags}\nexec \"$@\"\n"))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
    });
    written.with_context(|| format!("cannot write {}", script.display()))?;
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_other_flags_and_libraries_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = compiler(folder.path()).unwrap();
        let added = |asked: &[&str]| {
            let output = Command::new(&compiler).arg("echo").args(asked).output().unwrap();
            let told = String::from_utf8(output.stdout).unwrap();
            told.trim_end().strip_prefix(&asked.join(" ")).unwrap().to_owned()
        };
        assert_eq!(added(&["--crate-type", "lib", "--emit=link"]), "");
        assert_eq!(added(&["--crate-type", "bin", "--crate-type", "proc-macro", "--print=cfg"]), "");
        assert_eq!(added(&["--crate-type", "bin", "--emit=link"]), format!(" {STATIC} -Cstrip=symbols"));
    }
}
