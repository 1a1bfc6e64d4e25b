//! An OCI runtime in front of runc that asks only for what the kernel will grant.
//!
//! `docker run --privileged`, which is how kind starts a node, asks for all capabilities. A root that lacks
//! CAP_SYS_RESOURCE cannot give it on, and runc fails with "unable to apply caps: operation not permitted". So that
//! capability, limits above the hard ones and an `oom_score_adj` below our own are taken out of the OCI configuration
//! before runc reads it. With the capability at hand nothing is changed.
//!
//! dockerd calls the runtime as it would call runc; this program knows by its name that it is meant.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rustix::process::{Resource, getrlimit};
use serde_json::Value;

use crate::error::{Doing, Result};

/// The name under which this program is the runtime.
pub(crate) const NAME: &str = "greenroom-oci-runtime";

/// CAP_SYS_RESOURCE, as a bit.
const SYS_RESOURCE: u64 = 1 << 24;

/// Whether this program was called as the runtime.
#[must_use]
pub fn is_meant() -> bool {
    std::env::args().next().is_some_and(|program| program.rsplit('/').next() == Some(NAME))
}

/// Trims the configuration that the command is about, and becomes runc. Returns only if it fails.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let config = configuration(&arguments).filter(|_| !has_sys_resource());
    let trimmed = config.map_or(Ok(()), |(file, pointer)| trim_file(&file, pointer));
    let failed = match trimmed {
        Err(error) => error.to_string(),
        Ok(()) => format!("cannot start runc: {}", Command::new("runc").args(&arguments).exec()),
    };
    eprintln!("{NAME}: {failed}");
    ExitCode::FAILURE
}

/// The file that the command takes a process from, and where in it.
fn configuration(arguments: &[String]) -> Option<(PathBuf, &'static str)> {
    let is = |command: &str| arguments.iter().any(|argument| argument == command);
    let value = |names: [&str; 2]| {
        arguments.iter().enumerate().find_map(|(at, argument)| match argument.split_once('=') {
            Some((name, value)) if names.contains(&name) => Some(PathBuf::from(value)),
            _ if names.contains(&argument.as_str()) => arguments.get(at + 1).map(PathBuf::from),
            _ => None,
        })
    };
    if is("create") || is("run") {
        let bundle = value(["--bundle", "-b"]).unwrap_or_else(|| ".".into());
        Some((bundle.join("config.json"), "/process"))
    } else if is("exec") {
        value(["--process", "-p"]).map(|file| (file, ""))
    } else {
        None
    }
}

fn trim_file(file: &Path, pointer: &str) -> Result<()> {
    let text = fs::read(file).doing(|| format!("read {}", file.display()))?;
    let mut config: Value = serde_json::from_slice(&text)
        .map_err(std::io::Error::other)
        .doing(|| format!("parse {}", file.display()))?;
    if let Some(process) = config.pointer_mut(pointer) {
        let low =
            fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|text| text.trim().parse().ok());
        trim(process, low.unwrap_or_default(), hard_limit);
    }
    fs::write(file, config.to_string()).doing(|| format!("write {}", file.display()))
}

/// Takes out of an OCI process what a root without CAP_SYS_RESOURCE cannot give.
fn trim(process: &mut Value, lowest_oom_score: i64, hard_limit: impl Fn(&str) -> Option<u64>) {
    for (_, set) in process["capabilities"].as_object_mut().into_iter().flatten() {
        if let Some(set) = set.as_array_mut() {
            set.retain(|capability| capability != "CAP_SYS_RESOURCE");
        }
    }
    if process["oomScoreAdj"].as_i64().is_some_and(|score| score < lowest_oom_score) {
        process["oomScoreAdj"] = lowest_oom_score.into();
    }
    for limit in process["rlimits"].as_array_mut().into_iter().flatten() {
        let Some(highest) = limit["type"].as_str().and_then(&hard_limit) else { continue };
        for bound in ["hard", "soft"] {
            if limit[bound].as_u64().is_some_and(|asked| asked > highest) {
                limit[bound] = highest.into();
            }
        }
    }
}

/// The hard limit that we have ourselves; none is endless, or of a kind that no container is given.
fn hard_limit(of: &str) -> Option<u64> {
    let resource = match of {
        "RLIMIT_NOFILE" => Resource::Nofile,
        "RLIMIT_NPROC" => Resource::Nproc,
        "RLIMIT_CORE" => Resource::Core,
        "RLIMIT_MEMLOCK" => Resource::Memlock,
        "RLIMIT_STACK" => Resource::Stack,
        _ => return None,
    };
    getrlimit(resource).maximum
}

fn has_sys_resource() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    bounding
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set & SYS_RESOURCE != 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_cannot_be_granted_is_taken_out() {
        let mut process = json!({
            "args": ["/sbin/init"],
            "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_CHOWN"]},
            "oomScoreAdj": -999,
            "rlimits": [
                {"type": "RLIMIT_NOFILE", "hard": 1_048_576, "soft": 1024},
                {"type": "RLIMIT_CPU", "hard": 7, "soft": 7},
            ],
        });
        trim(&mut process, 0, |of| (of == "RLIMIT_NOFILE").then_some(20_000));
        assert_eq!(
            process,
            json!({
                "args": ["/sbin/init"],
                "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"]},
                "oomScoreAdj": 0,
                "rlimits": [
                    {"type": "RLIMIT_NOFILE", "hard": 20_000, "soft": 1024},
                    {"type": "RLIMIT_CPU", "hard": 7, "soft": 7},
                ],
            })
        );
    }

    #[test]
    fn the_configuration_is_found_as_runc_finds_it() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let found = |line: &str| configuration(&words(line));
        assert_eq!(found("--root /r create --bundle /b id"), Some(("/b/config.json".into(), "/process")));
        assert_eq!(found("run -b=/b id"), Some(("/b/config.json".into(), "/process")));
        assert_eq!(found("exec --process /p id"), Some(("/p".into(), "")));
        assert_eq!(found("delete id"), None);
    }
}
