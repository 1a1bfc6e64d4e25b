//! How much memory the process takes and may take, from what the kernel says.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use greenroom_core::engine::{Engine, MemoryLimits};
use serde::{Deserialize, Serialize};

/// The time between two readings.
const PERIOD: Duration = Duration::from_secs(1);

/// A limit as it is written: `512Mi`, `2Gi`, bytes, or `80%` of what the container may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub enum MemorySetting {
    /// So many bytes.
    Bytes(u64),
    /// This part of the container's limit; without such a limit there is none.
    Percent(u8),
}

/// A number or a text: YAML has both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl TryFrom<Written> for MemorySetting {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(bytes) => Ok(Self::Bytes(bytes)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<MemorySetting> for String {
    fn from(setting: MemorySetting) -> Self {
        setting.to_string()
    }
}

impl fmt::Display for MemorySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for MemorySetting {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no amount of memory; write for example 512Mi, 2Gi, or 80%");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let factor: u64 = match unit {
            "" => 1,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "%" if (1..=100).contains(&number) => return Ok(Self::Percent(number as u8)),
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self::Bytes).ok_or_else(wrong)
    }
}

impl MemorySetting {
    fn bytes(self, container: Option<u64>) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Percent(percent) => container.map(|limit| limit / 100 * u64::from(percent)),
        }
    }
}

/// The limits that the settings make; `None` if there is nothing that they could be a part of.
pub(crate) fn limits(soft: MemorySetting, hard: MemorySetting) -> Option<MemoryLimits> {
    let container = container_limit();
    let hard = hard.bytes(container)?;
    Some(MemoryLimits { soft: soft.bytes(container)?.min(hard), hard })
}

/// Tells the engine once a second what the process takes, until the engine is gone.
pub(crate) async fn watch(engine: Weak<Engine>, limits: MemoryLimits) {
    tracing::info!(soft = limits.soft, hard = limits.hard, "idle actors leave when memory gets scarce");
    loop {
        let (Some(engine), Some(used)) = (engine.upgrade(), resident()) else { return };
        // A look at every actor in memory: no turn waits for that.
        let observe = move || Arc::clone(&engine).observe_memory(used, limits);
        let _ = tokio::task::spawn_blocking(observe).await;
        tokio::time::sleep(PERIOD).await;
    }
}

/// How much memory the process takes, in bytes; `None` where the kernel does not say.
pub(crate) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// How much the container may take, in bytes; `None` without a limit.
fn container_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    limit_below(Path::new("/sys/fs/cgroup"), own)
}

/// The smallest limit from a control group up to the root, as version 2 of the interface has it (one file for each group).
fn limit_below(root: &Path, group: &str) -> Option<u64> {
    let group = Path::new(group.trim_start_matches('/'));
    let groups = group.ancestors().map(|group| root.join(group).join("memory.max"));
    groups.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written() {
        for (text, setting) in [
            ("1048576", MemorySetting::Bytes(1 << 20)),
            ("512Mi", MemorySetting::Bytes(512 << 20)),
            ("2Gi", MemorySetting::Bytes(2 << 30)),
            ("80%", MemorySetting::Percent(80)),
        ] {
            assert_eq!(text.parse(), Ok(setting));
            assert_eq!(setting.to_string().parse(), Ok(setting));
        }
        for wrong in ["", "Mi", "1.5Gi", "0%", "101%", "5 Mi", "99999999999Gi", "-1"] {
            let error = wrong.parse::<MemorySetting>().unwrap_err();
            assert!(error.contains("512Mi"), "{error}");
        }
    }

    #[test]
    fn a_percentage_of_nothing_is_no_limit() {
        assert_eq!(MemorySetting::Percent(50).bytes(None), None);
        assert_eq!(MemorySetting::Percent(50).bytes(Some(1000)), Some(500));
    }

    #[test]
    fn the_smallest_limit_of_the_groups_counts() {
        let root = tempfile::TempDir::new().unwrap();
        std::fs::create_dir_all(root.path().join("pods/one")).unwrap();
        assert_eq!(limit_below(root.path(), "/pods/one"), None);
        std::fs::write(root.path().join("pods/memory.max"), "5000\n").unwrap();
        std::fs::write(root.path().join("pods/one/memory.max"), "max\n").unwrap();
        assert_eq!(limit_below(root.path(), "/pods/one"), Some(5000));
        std::fs::write(root.path().join("pods/one/memory.max"), "4000\n").unwrap();
        assert_eq!(limit_below(root.path(), "/pods/one"), Some(4000));
        assert_eq!(limit_below(root.path(), "/"), None);
    }

    #[test]
    fn this_process_takes_some_memory() {
        assert!(resident().unwrap() > 1 << 20);
    }
}
