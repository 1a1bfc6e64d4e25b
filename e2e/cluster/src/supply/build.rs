//! Builds one program with Go, unless it is there.
//!
//! Beside each program lies a stamp: a digest of all that decides what it is (pins, checksums, package, flags). A
//! program is built into a temporary name and renamed, so one that is running is never written to; a file lock per
//! Go module keeps two builders from doing the same work at once.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{Tool, module_dir};
use crate::error::{Doing, Error, Result, output_of};

/// Static, reproducible, without the path of this machine.
const GOFLAGS: &str = "-trimpath -buildvcs=false -mod=readonly";

pub(super) fn ensure(tool: Tool, program: &Path) -> Result<()> {
    let pins = Pins::read(tool)?;
    let stamp_file = program.with_extension("stamp");
    let is_there = || program.exists() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == pins.stamp);
    if is_there() {
        return Ok(());
    }
    let folder = program.parent().expect("a program lies in the folder of its module");
    fs::create_dir_all(folder).doing(|| format!("create {}", folder.display()))?;
    let _lock = lock(&folder.join(".lock"), tool)?;
    if is_there() {
        return Ok(());
    }
    let name = tool.name();
    eprintln!("building {name} {} (once for this machine) …", pins.version);
    let start = Instant::now();
    let unfinished = folder.join(format!(".{name}.unfinished"));
    go(tool, &pins, &unfinished)?;
    let megabytes = fs::metadata(&unfinished).map_or(0, |built| built.len() / 1_000_000);
    fs::rename(&unfinished, program).doing(|| format!("put {name} in place"))?;
    fs::write(&stamp_file, &pins.stamp).doing(|| format!("write {}", stamp_file.display()))?;
    eprintln!("built {name} {} in {:.0} s, {megabytes} MB", pins.version, start.elapsed().as_secs_f32());
    Ok(())
}

/// What decides which program comes out.
struct Pins {
    version: String,
    linker_flags: String,
    stamp: String,
}

impl Pins {
    fn read(tool: Tool) -> Result<Self> {
        let folder = module_dir(tool);
        let go_mod = fs::read_to_string(folder.join("go.mod")).map_err(|_| no_module(tool))?;
        let go_sum = fs::read_to_string(folder.join("go.sum"))
            .doing(|| format!("read {}/go.sum", folder.display()))?;
        let version = version_in(&go_mod, tool.upstream()).ok_or_else(|| no_module(tool))?;
        let linker_flags = linker_flags(tool, &version);
        let mut digest = Sha256::new();
        for part in [&go_mod, &go_sum, tool.package(), GOFLAGS, &linker_flags] {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        Ok(Self { version, linker_flags, stamp: HEXLOWER.encode(&digest.finalize()) })
    }
}

fn no_module(tool: Tool) -> Error {
    let module = tool.module();
    Error::Missing(format!(
        "e2e/cluster/tools has no folder {module} that pins {}; for Kubernetes set GREENROOM_KUBERNETES to one \
         that is there",
        tool.name()
    ))
}

/// The version that a `go.mod` requires of `module`.
fn version_in(go_mod: &str, module: &str) -> Option<String> {
    let mut words = go_mod.lines().map(|line| line.trim().trim_start_matches("require ").split_whitespace());
    words.find_map(|mut line| (line.next()? == module).then(|| line.next().map(str::to_owned)).flatten())
}

/// Strips symbols. Kubernetes learns its version from the linker: without it, it reports v0.0.0 and clients that
/// compare versions (kubeadm, helm) refuse it.
fn linker_flags(tool: Tool, version: &str) -> String {
    let mut flags = "-s -w".to_owned();
    if tool.upstream() == "k8s.io/kubernetes" {
        let minor = version.split('.').nth(1).unwrap_or_default();
        for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
            flags += &format!(
                " -X {package}.gitVersion={version} -X {package}.gitMajor=1 -X {package}.gitMinor={minor}"
            );
        }
    }
    flags
}

fn go(tool: Tool, pins: &Pins, output: &Path) -> Result<()> {
    let mut build = Command::new("go");
    build.arg("build").arg("-C").arg(module_dir(tool)).args(GOFLAGS.split(' '));
    build.args(["-ldflags", &pins.linker_flags]).arg("-o").arg(output).arg(tool.package());
    // GOFLAGS of the user's shell may hold what contradicts ours.
    build.env("CGO_ENABLED", "0").env_remove("GOFLAGS");
    match output_of(&mut build) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::Missing(format!(
                "{} has to be built, and there is no `go`; install Go 1.26 or newer (https://go.dev/dl)",
                tool.name()
            )))
        }
        outcome => outcome.map(drop),
    }
}

/// Waits for whoever builds out of the same module. The lock ends with the file handle, thus also with a crash.
fn lock(path: &Path, tool: Tool) -> Result<File> {
    let file = File::create(path).doing(|| format!("create {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another build, then {} …", tool.name());
        file.lock().doing(|| format!("lock {}", path.display()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_pinned_with_checksums() {
        for tool in Tool::all() {
            let pins = Pins::read(tool).unwrap_or_else(|error| panic!("{}: {error}", tool.name()));
            assert!(pins.version.starts_with('v'), "{}: {}", tool.name(), pins.version);
        }
    }
}
