//! Where the programs of a cluster come from.
//!
//! Go programs are built from unmodified upstream modules. `tools/` beside this crate has one Go module per upstream
//! project; its `go.mod` pins the version and its `go.sum` the checksums of everything that goes in. They are built
//! once per machine into the [cache](cache_dir), outside of the source tree, under a file lock, and again only when
//! the pins change. What a distribution packages well (runc, CNI plugins, nftables) comes from its packages:
//! [`debian`].

mod build;
pub(crate) mod debian;
mod tools;

use std::path::{Path, PathBuf};

pub use tools::{CORE, Tool};

use crate::error::{Error, Result};

/// Where all that may be made anew is kept: `$GREENROOM_CACHE`, else `greenroom` in the user's cache folder.
///
/// # Errors
/// When neither `GREENROOM_CACHE`, `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("GREENROOM_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("greenroom")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/greenroom")))
        .ok_or_else(|| {
            Error::Missing("there is no folder for built tools; set GREENROOM_CACHE to one".to_owned())
        })
}

/// The programs that were asked for, built and ready to run.
#[derive(Clone, Debug)]
pub struct Supply {
    root: PathBuf,
}

impl Supply {
    /// Builds those of `tools` that the cache lacks. A built tool costs nothing; the whole core set takes some five
    /// minutes on two cores the first time. Progress goes to the standard error output.
    ///
    /// # Errors
    /// When Go is missing or too old, or a build fails. Dropping the future leaves a running build to finish.
    pub async fn ensure(tools: &[Tool]) -> Result<Self> {
        let tools = tools.to_vec();
        let built = tokio::task::spawn_blocking(move || Self::ensure_blocking(&tools)).await;
        built.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn ensure_blocking(tools: &[Tool]) -> Result<Self> {
        let supply = Self { root: cache_dir()?.join("tools") };
        for &tool in tools {
            build::ensure(tool, &supply.path(tool))?;
        }
        Ok(supply)
    }

    /// The program. It is there if it was asked for.
    #[must_use]
    pub fn path(&self, tool: Tool) -> PathBuf {
        self.root.join(tool.module()).join(tool.name())
    }

    /// The folders of `tools` followed by those of this process's `PATH`.
    pub(crate) fn search_path(&self, tools: &[Tool]) -> std::ffi::OsString {
        let mut folders: Vec<PathBuf> = tools.iter().map(|&tool| self.root.join(tool.module())).collect();
        folders.dedup();
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        // Root's shells on Debian have these, others (su, cron) may not.
        let system = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
        folders.extend(std::env::split_paths(&inherited).chain(system));
        std::env::join_paths(folders).expect("folders that came from a PATH hold no colon")
    }
}

/// The Go module in the source tree that pins `tool`.
pub(crate) fn module_dir(tool: Tool) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(tool.module())
}
