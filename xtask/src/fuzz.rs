//! `cargo xtask fuzz`: libFuzzer looks for bytes from outside that break what must hold.
//!
//! The compiler counts which branches an input takes and what it is compared with; libFuzzer bends the inputs that have
//! led furthest. All of this works on stable Rust: the flags below are what `cargo fuzz` passes without a sanitizer,
//! which safe code can do without. What is to be true stands in `fuzz/src`, one file per target.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// Look for bytes from outside that break the runtime, with libFuzzer.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What reads the bytes, a file of `fuzz/src`; all of them one after the other unless given.
    target: Option<String>,
    /// How long to look, for each target.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Run this one input through the target, in an ordinary build.
    #[arg(long, value_name = "FILE", requires = "target")]
    replay: Option<PathBuf>,
}

/// What the compiler adds for libFuzzer.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-stack-depth";

/// An input that takes longer is a mistake, in seconds.
const LONG: u32 = 10;
/// So is one that takes more memory, in MiB.
const MUCH: u32 = 1024;
/// What more bytes could show, fewer do: long inputs are slow.
const LONGEST_INPUT: u32 = 4096;

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if let (Some(target), Some(file)) = (&args.target, &args.replay) {
        let mut replay = workspace::cargo();
        replay.args(["run", "--quiet", "--package", "greenroom-fuzz", "--", target]);
        return workspace::run(replay.arg(std::path::absolute(file)?));
    }
    let targets = match &args.target {
        Some(target) => vec![target.clone()],
        None => all_targets()?,
    };
    for target in &targets {
        ensure!(
            folder(target).is_dir(),
            "there is no target {target:?}; take one of {}",
            all_targets()?.join(", ")
        );
    }
    let libfuzzer = build()?;
    let mut broken = Vec::new();
    for target in targets {
        if !look(&libfuzzer, &target, args.seconds)? {
            broken.push(target);
        }
    }
    ensure!(broken.is_empty(), "what must hold does not for {}; see above", broken.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// Every target has inputs that are kept.
fn all_targets() -> Result<Vec<String>> {
    let folders = std::fs::read_dir(folder("")).context("cannot read fuzz/corpus")?;
    let mut names = folders
        .map(|folder| Ok(folder?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The inputs of a target that are kept.
fn folder(target: &str) -> PathBuf {
    workspace::root().join("fuzz/corpus").join(target)
}

fn build() -> Result<PathBuf> {
    let root = workspace::root();
    let sources = root.join("fuzz/libfuzzer");
    std::fs::copy(root.join("Cargo.lock"), sources.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    let host = host()?;
    let built = root.join("target/fuzz");
    let mut cargo = workspace::cargo();
    // With a target named, build scripts and macros are not watched.
    cargo.args(["build", "--release", "--target", &host]).env("RUSTFLAGS", COVERAGE);
    cargo.arg("--manifest-path").arg(sources.join("Cargo.toml")).arg("--target-dir").arg(&built);
    let status = cargo.status().context("cannot start cargo")?;
    ensure!(
        status.success(),
        "libFuzzer could not be built; it takes a C++ compiler, for example the package g++"
    );
    Ok(built.join(host).join("release/greenroom-libfuzzer"))
}

/// The platform of this compiler.
fn host() -> Result<String> {
    let rustc = workspace::command("rustc").args(["--print", "host-tuple"]).output();
    let output = rustc.context("cannot start rustc")?;
    ensure!(output.status.success(), "rustc does not say its platform: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Looks for inputs that break the target. True if there was none.
fn look(libfuzzer: &Path, target: &str, seconds: u64) -> Result<bool> {
    let work = workspace::root().join("target/fuzz");
    let (corpus, found) = (work.join("corpus").join(target), work.join("found").join(target));
    for folder in [&corpus, &found] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    println!("\n{target}: {seconds} seconds");
    let begin = SystemTime::now();
    let status = Command::new(libfuzzer)
        .env("FUZZ_TARGET", target)
        .env("FUZZ_SEEDS", &corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .args([
            format!("-timeout={LONG}"),
            format!("-rss_limit_mb={MUCH}"),
            format!("-max_len={LONGEST_INPUT}"),
        ])
        .args(["-print_final_stats=1", "-verbosity=1"])
        .args([&corpus, &folder(target)])
        .status()
        .with_context(|| format!("cannot start {}", libfuzzer.display()))?;
    if status.success() {
        return Ok(true);
    }
    match newest(&found, begin)? {
        Some(file) => println!(
            "\nan input of {target} breaks it; see it again with `cargo xtask fuzz {target} --replay {}`, and when it is \
             mended keep it in {} under a name that says what it is",
            file.display(),
            folder(target).display(),
        ),
        None => println!("\nlibFuzzer ended with {status} and no input to blame; it says above why"),
    }
    Ok(false)
}

/// The file that was written last since then.
fn newest(folder: &Path, since: SystemTime) -> Result<Option<PathBuf>> {
    let mut newest = None;
    for file in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let file = file?;
        let written = file.metadata()?.modified()?;
        newest = newest.max(Some((written, file.path())).filter(|_| written >= since));
    }
    Ok(newest.map(|(_, file)| file))
}
