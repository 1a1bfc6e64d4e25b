//! The node image: the file system, with the preloaded images in its containerd, as one image of the engine.
//!
//! Made once, and again when a program that goes into it has changed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::engine::Engine;
use super::{IN_THE_IMAGE, images, rootfs};
use crate::error::{Doing, Error, Result, output_of, tail};
use crate::supply::{Supply, Tool};

/// Its name in the engine.
pub(super) const REFERENCE: &str = "kind.local/node:1";

/// Makes the image and loads it into the engine, unless the engine has it, made of the same programs.
pub(super) fn ensure(supply: &Supply, engine: &Engine, folder: &Path) -> Result<()> {
    let stamp = stamp(supply)?;
    let stamp_file = folder.join("node-image.stamp");
    let loaded =
        || output_of(engine.docker().args(["image", "inspect", "--format", "ok", REFERENCE])).is_ok();
    if fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) && loaded() {
        return Ok(());
    }
    let debian = rootfs::debian(folder)?;
    eprintln!("making kind's node image (once for these programs) …");
    let (begun, root) = (Instant::now(), folder.join("root"));
    rootfs::make(supply, &debian, &root)?;
    let preloaded = images::make(supply, &root, &folder.join("images"))?;
    preload(supply, folder, &root, &preloaded)?;
    let image = folder.join("node.tar");
    pack(&root, &image)?;
    output_of(engine.docker().args(["load", "--quiet", "--input"]).arg(&image))?;
    // The engine has it now; each is half a gigabyte or more.
    fs::remove_file(&image).doing(|| format!("remove {}", image.display()))?;
    for folder in [root, folder.join("images")] {
        fs::remove_dir_all(&folder).doing(|| format!("remove {}", folder.display()))?;
    }
    eprintln!("made kind's node image in {:.0} s", begun.elapsed().as_secs_f32());
    fs::write(&stamp_file, stamp).doing(|| format!("write {}", stamp_file.display()))
}

/// Counts the ways in which the image was put together. Whoever changes the recipe counts on.
const RECIPE: u32 = 2;

/// What decides which image comes out: the programs, and how they are put together.
fn stamp(supply: &Supply) -> Result<String> {
    let mut stamp = format!("recipe {RECIPE}\n");
    for tool in IN_THE_IMAGE {
        let program = supply.path(tool).with_extension("stamp");
        stamp += &fs::read_to_string(&program).doing(|| format!("read {}", program.display()))?;
        stamp.push('\n');
    }
    Ok(stamp)
}

/// Imports the images into the containerd of the file system, as kind's own builder does.
fn preload(supply: &Supply, folder: &Path, root: &Path, archives: &[PathBuf]) -> Result<()> {
    let containerd = Containerd::start(supply, folder, root)?;
    for archive in archives {
        let import = [
            "-n",
            "k8s.io",
            "images",
            "import",
            "--digests=false",
            "--local=true",
            "--discard-unpacked-layers",
        ];
        output_of(containerd.ctr().args(import).arg(archive))?;
    }
    containerd.stop();
    Ok(())
}

/// A containerd that works on the file system of a node.
struct Containerd {
    ctr: PathBuf,
    socket: PathBuf,
    process: Child,
}

impl Containerd {
    fn start(supply: &Supply, folder: &Path, root: &Path) -> Result<Self> {
        let run = folder.join("preload");
        let _ = fs::remove_dir_all(&run);
        fs::create_dir_all(&run).doing(|| format!("create {}", run.display()))?;
        let (config, socket, log) = (run.join("config.toml"), run.join("socket"), run.join("log"));
        let text =
            "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.nri.v1.nri\"]\n";
        fs::write(&config, text).doing(|| format!("write {}", config.display()))?;
        let output = File::create(&log).doing(|| format!("create {}", log.display()))?;
        // Mounts of its own: whatever it leaves mounted goes with it.
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "--"]).arg(supply.path(Tool::Containerd));
        unshare.arg("--config").arg(&config).arg("--root").arg(root.join("var/lib/containerd"));
        unshare.arg("--state").arg(run.join("state")).arg("--address").arg(&socket);
        let process = unshare.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output).spawn();
        let process = process.doing(|| "start containerd".to_owned())?;
        let started = Self { ctr: supply.path(Tool::Ctr), socket, process };
        let (begun, within) = (Instant::now(), Duration::from_secs(20));
        while output_of(started.ctr().arg("version")).is_err() {
            if begun.elapsed() > within {
                let log = tail(&log, 10);
                return Err(Error::NotReady { what: "containerd".into(), waited: within, log });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(started)
    }

    fn ctr(&self) -> Command {
        let mut ctr = Command::new(&self.ctr);
        ctr.arg("--address").arg(&self.socket);
        ctr
    }

    /// In peace, so that its database is whole.
    fn stop(mut self) {
        let _ = output_of(Command::new("kill").arg(self.process.id().to_string()));
        let _ = self.process.wait();
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pack(root: &Path, image: &Path) -> Result<()> {
    let layer = image.with_extension("layer");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(root).args(["--numeric-owner", "--sort=name"]);
    for kernel in ["proc", "sys", "dev"] {
        tar.arg(format!("--exclude=./{kernel}/*"));
    }
    output_of(tar.arg("-cf").arg(&layer).arg("."))?;
    let file = |name: &Path| File::open(name).doing(|| format!("open {}", name.display()));
    let digest = output_of(Command::new("sha256sum").arg(&layer))?;
    let digest = digest.split_whitespace().next().unwrap_or_default();
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=docker"],
            // systemd ends on this signal.
            "StopSignal": "SIGRTMIN+3",
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [REFERENCE], "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(File::create(image).doing(|| format!("create {}", image.display()))?);
    let packed = archive.append_file("layer.tar", &mut file(&layer)?).and_then(|()| {
        for (name, content) in [("config.json", config), ("manifest.json", manifest)] {
            let content = content.to_string();
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content.as_bytes())?;
        }
        archive.into_inner().map(drop)
    });
    packed.doing(|| format!("write {}", image.display()))?;
    fs::remove_file(&layer).doing(|| format!("remove {}", layer.display()))
}
