//! Which program runs as a node: the stock node, or the user's own.

use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::failure::{Failure, OrFail, Result};

/// The annotation of an ActorCluster that names the user's node program.
pub(crate) const ANNOTATION: &str = "greenroom.dev/dev-command";

/// Chooses the program.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct ProgramArgs {
    /// Run this program as the nodes, instead of the stock node; it calls `Runtime::from_env()`
    #[arg(long, value_name = "PATH", conflicts_with = "package")]
    bin: Option<PathBuf>,
    /// Build this package with cargo and run its program as the nodes
    #[arg(long, value_name = "NAME")]
    package: Option<String>,
    /// Build the package optimised
    #[arg(long, requires = "package")]
    release: bool,
}

/// What is run as a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// True if it is the stock node, which has `Counter` and `KeyValue`.
    pub(crate) stock: bool,
}

/// What cargo says about one thing that it built.
#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
    #[serde(default)]
    target: BuiltTarget,
}

#[derive(Default, Deserialize)]
struct BuiltTarget {
    #[serde(default)]
    kind: Vec<String>,
    #[serde(default)]
    name: String,
}

impl ProgramArgs {
    /// The program that the arguments name; otherwise the annotation's, otherwise the stock node of this very program.
    pub(crate) fn choose(&self, annotation: Option<&str>, manifest: &Path) -> Result<Program> {
        match (&self.bin, &self.package, annotation) {
            (Some(bin), _, _) => from_file(bin),
            (None, Some(package), _) => from_package(package, self.release),
            (None, None, Some(line)) => from_annotation(line, manifest),
            (None, None, None) => {
                let path = std::env::current_exe().or_fail("cannot tell where this program is")?;
                Ok(Program { path, args: vec!["node".into()], stock: true })
            }
        }
    }
}

fn from_file(bin: &Path) -> Result<Program> {
    let path = std::path::absolute(bin).or_fail(format_args!("cannot use {}", bin.display()))?;
    if !path.is_file() {
        return Err(Failure::new(format!("there is no program {}", path.display()))
            .hint("build it first, or let `--package NAME` build it"));
    }
    Ok(Program { path, args: Vec::new(), stock: false })
}

/// The line is split at spaces and not given to a shell. A program with a slash is looked for beside the YAML.
fn from_annotation(line: &str, manifest: &Path) -> Result<Program> {
    let mut words = line.split_whitespace();
    let Some(program) = words.next() else {
        return Err(Failure::new(format!("the annotation {ANNOTATION} of {} is empty", manifest.display()))
            .hint("write a program and its arguments, or leave the annotation out to run the stock node"));
    };
    let args = words.map(OsString::from).collect();
    if !program.contains('/') {
        return Ok(Program { path: program.into(), args, stock: false });
    }
    let beside = manifest.parent().unwrap_or(Path::new("")).join(program);
    Ok(Program { args, ..from_file(&beside)? })
}

/// Lets cargo build the package, in the current directory, and takes its program.
fn from_package(package: &str, release: bool) -> Result<Program> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--message-format=json-render-diagnostics", "--package", package]);
    if release {
        command.arg("--release");
    }
    let cannot = format!("cannot build package {package}");
    let mut cargo = command.stdout(Stdio::piped()).spawn().or_fail(&cannot)?;
    let messages = cargo.stdout.take().map(BufReader::new).expect("its stdout is piped");
    let programs = programs(messages).or_fail(&cannot)?;
    if !cargo.wait().or_fail(&cannot)?.success() {
        return Err(
            Failure::new(cannot).hint("cargo's own message is above; run this in the package's workspace")
        );
    }
    one_program(programs, package)
}

/// The programs among the messages of a build, by name.
fn programs(messages: impl std::io::Read) -> serde_json::Result<Vec<(String, PathBuf)>> {
    let mut programs = Vec::new();
    for message in serde_json::Deserializer::from_reader(messages).into_iter::<Built>() {
        let Built { executable, target } = message?;
        if let Some(path) = executable.filter(|_| target.kind.iter().any(|kind| kind == "bin")) {
            programs.push((target.name, path));
        }
    }
    Ok(programs)
}

fn one_program(mut programs: Vec<(String, PathBuf)>, package: &str) -> Result<Program> {
    if programs.len() > 1 && programs.iter().any(|(name, _)| name == package) {
        programs.retain(|(name, _)| name == package);
    }
    match <[_; 1]>::try_from(programs) {
        Ok([(_, path)]) => Ok(Program { path, args: Vec::new(), stock: false }),
        Err(programs) if programs.is_empty() => {
            Err(Failure::new(format!("package {package} has no program"))
                .hint("a node program has a `main` that calls `Runtime::from_env()`"))
        }
        Err(programs) => {
            let names: Vec<_> = programs.iter().map(|(name, _)| name.as_str()).collect();
            Err(Failure::new(format!("package {package} has several programs: {}", names.join(", ")))
                .hint("build it and choose one with --bin PATH"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_choice_this_program_runs_as_the_stock_node() {
        let program = ProgramArgs::default().choose(None, Path::new("c.yaml")).unwrap();
        assert_eq!(program.path, std::env::current_exe().unwrap());
        assert_eq!(program.args, ["node"]);
    }

    #[test]
    fn the_annotation_is_split_at_spaces_and_found_beside_the_yaml() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("my-node");
        std::fs::write(&file, "").unwrap();
        let manifest = dir.path().join("c.yaml");
        let args = ProgramArgs::default();
        let program = args.choose(Some("./my-node --fast  yes"), &manifest).unwrap();
        assert_eq!(program.args, ["--fast", "yes"]);
        assert_eq!(program.path.canonicalize().unwrap(), file.canonicalize().unwrap());
        assert_eq!(args.choose(Some("cargo run"), &manifest).unwrap().path, Path::new("cargo"));
        let failure = args.choose(Some("./other"), &manifest).unwrap_err().to_string();
        assert!(failure.contains("there is no program") && failure.contains("other"), "{failure}");
        assert!(args.choose(Some(" "), &manifest).unwrap_err().to_string().contains(ANNOTATION));
    }

    #[test]
    fn of_a_build_the_program_named_like_the_package_is_taken() {
        let messages = r#"
            {"reason":"compiler-artifact","target":{"kind":["lib"],"name":"game"},"executable":null}
            {"reason":"compiler-artifact","target":{"kind":["bin"],"name":"tool"},"executable":"/t/tool"}
            {"reason":"compiler-artifact","target":{"kind":["bin"],"name":"game"},"executable":"/t/game"}
            {"reason":"build-finished","success":true}
        "#;
        let programs = programs(messages.as_bytes()).unwrap();
        assert_eq!(one_program(programs.clone(), "game").unwrap().path, Path::new("/t/game"));
        let failure = one_program(programs, "other").unwrap_err().to_string();
        assert!(failure.contains("several programs: tool, game"), "{failure}");
        assert!(one_program(Vec::new(), "other").unwrap_err().to_string().contains("has no program"));
    }
}
