//! The file system of a node: Debian by `mmdebstrap`, kind's own files out of its Go module, and our programs.
//!
//! The steps are those of kind's `images/base/Dockerfile`, with three differences: Debian is bookworm, whose systemd
//! still runs on cgroup v1; the sandbox image has a name that exists here; and containerd does not lower the
//! `oom_score_adj` of sandboxes, which a root without CAP_SYS_RESOURCE cannot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::config::REPOSITORY;
use crate::error::{Doing, Error, Result, output_of};
use crate::supply::{Supply, Tool};

const PACKAGES: &str = "systemd,conntrack,iptables,nftables,iproute2,ethtool,kmod,libseccomp2,e2fsprogs,ca-certificates,curl,jq,procps,socat,runc,containernetworking-plugins";

/// The unchanging part of it: Debian alone, made once.
pub(super) fn debian(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("debian");
    if root.join("usr/bin/jq").exists() {
        return Ok(root);
    }
    eprintln!("making a Debian for kind's nodes (once for this machine) …");
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--quiet", "--variant=minbase", "--include", PACKAGES]);
    mmdebstrap.args(["--aptopt=Acquire::Languages \"none\""]);
    for documents in ["doc", "man", "locale"] {
        mmdebstrap.arg(format!("--dpkgopt=path-exclude=/usr/share/{documents}/*"));
    }
    let unfinished = folder.join("debian.unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    output_of(mmdebstrap.arg("bookworm").arg(&unfinished))?;
    fs::rename(&unfinished, &root).doing(|| format!("put {} in place", root.display()))?;
    Ok(root)
}

/// Makes the whole file system in `root`, anew.
pub(super) fn make(supply: &Supply, debian: &Path, root: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(root);
    output_of(Command::new("cp").args(["--archive", "--reflink=auto"]).arg(debian).arg(root))?;
    let kind = kind_module()?;
    kind_files(&kind.join("images/base/files"), root)?;
    services(root)?;
    programs(supply, root)?;
    containerd(supply, root)?;
    storage_manifest(&kind, root)?;
    let version = output_of(Command::new(supply.path(Tool::Kubeadm)).args(["version", "-o", "short"]))?;
    write(&root.join("kind/version"), &version)
}

/// Where Go has unpacked kind's module. Its version is the one that its tools module pins.
fn kind_module() -> Result<PathBuf> {
    let mut go = Command::new("go");
    go.arg("-C").arg(crate::supply::module_dir(Tool::Kind)).args([
        "list",
        "-m",
        "-f",
        "{{.Dir}}",
        "sigs.k8s.io/kind",
    ]);
    let folder = output_of(go.env_remove("GOFLAGS").env("GOFLAGS", "-mod=readonly"))?;
    let folder = PathBuf::from(folder.trim());
    if folder.join("images/base/files").is_dir() {
        Ok(folder)
    } else {
        Err(Error::Missing(
            "Go has not unpacked the module sigs.k8s.io/kind; run `go mod download` in its tools folder"
                .into(),
        ))
    }
}

fn kind_files(files: &Path, root: &Path) -> Result<()> {
    let mut copy = Command::new("cp");
    copy.args(["--recursive", "--no-preserve=mode,ownership"]).arg(files.join("etc")).arg(root);
    output_of(&mut copy)?;
    for folder in ["kind/bin", "kind/manifests", "etc/kubernetes/manifests", "opt/cni/bin", "etc/cni/net.d"] {
        fs::create_dir_all(root.join(folder)).doing(|| format!("create /{folder}"))?;
    }
    let mut install = Command::new("cp");
    install
        .args(["--no-preserve=mode,ownership", "--recursive"])
        .arg(files.join("kind/bin"))
        .arg(root.join("kind"));
    output_of(&mut install)?;
    output_of(
        Command::new("cp")
            .args(["--no-preserve=mode"])
            .arg(files.join("usr/local/bin/entrypoint"))
            .arg(root.join("usr/local/bin")),
    )?;
    let mut executable = Command::new("chmod");
    executable.args(["-R", "755"]).arg(root.join("kind/bin")).arg(root.join("usr/local/bin"));
    output_of(&mut executable).map(drop)
}

/// Only what a node runs is started, and nothing of Debian sets the kernel.
fn services(root: &Path) -> Result<()> {
    let remove = "rm -f lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
                  lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* etc/systemd/system/*.wants/* \
                  lib/systemd/system/sockets.target.wants/*{udev,initctl}* usr/lib/sysctl.d/* \
                  && rm -rf var/lib/apt/lists/* var/cache/apt/* var/log/* \
                  && echo ReadKMsg=no >> etc/systemd/journald.conf && ln -sf /usr/lib/systemd/systemd sbin/init";
    output_of(Command::new("bash").args(["-c", remove]).current_dir(root))?;
    let systemctl = |arguments: &[&str]| {
        let mut systemctl = Command::new("systemctl");
        systemctl.arg("--root").arg(root).arg("--quiet").args(arguments);
        output_of(&mut systemctl).map(drop)
    };
    systemctl(&["enable", "kubelet.service", "containerd.service", "undo-mount-hacks.service"])?;
    systemctl(&["mask", "systemd-binfmt.service"])
}

fn programs(supply: &Supply, root: &Path) -> Result<()> {
    let install = |source: &Path, folder: &str| {
        output_of(Command::new("install").args(["-m", "755"]).arg(source).arg(root.join(folder))).map(drop)
    };
    for tool in [Tool::Containerd, Tool::ContainerdShim, Tool::Ctr, Tool::Crictl] {
        install(&supply.path(tool), "usr/local/bin/")?;
    }
    for tool in [Tool::Kubeadm, Tool::Kubelet, Tool::Kubectl] {
        install(&supply.path(tool), "usr/bin/")?;
    }
    for plugin in ["host-local", "loopback", "ptp", "portmap"] {
        install(&root.join("usr/lib/cni").join(plugin), "opt/cni/bin/")?;
    }
    Ok(())
}

fn containerd(supply: &Supply, root: &Path) -> Result<()> {
    let spec = output_of(Command::new(supply.path(Tool::Ctr)).args(["oci", "spec"]))?;
    let mut spec: Value = parse(&spec)?;
    let hook = json!([{"path": "/kind/bin/mount-product-files.sh"}]);
    spec["hooks"]["createContainer"] = hook;
    if let Some(process) = spec["process"].as_object_mut() {
        process.remove("rlimits");
    }
    write(&root.join("etc/containerd/cri-base.json"), &spec.to_string())?;

    let file = root.join("etc/containerd/config.toml");
    let text = fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
    let changed = text.lines().map(|line| match line.trim_start().split_once(" = ") {
        Some(("sandbox_image", _)) => format!("  sandbox_image = \"{REPOSITORY}/pause:1\""),
        Some(("restrict_oom_score_adj", _)) => "  restrict_oom_score_adj = true".to_owned(),
        _ => line.to_owned(),
    });
    write(&file, &(changed.collect::<Vec<_>>().join("\n") + "\n"))
}

/// kind's storage, out of the constant in its builder, with the names of our images.
fn storage_manifest(kind: &Path, root: &Path) -> Result<()> {
    let source = kind.join("pkg/build/nodeimage/const_storage.go");
    let text = fs::read_to_string(&source).doing(|| format!("read {}", source.display()))?;
    let manifest = constant(&text, "defaultStorageManifest")
        .ok_or_else(|| {
            Error::Missing(format!("{} has no storage manifest; kind has changed", source.display()))
        })?
        .replace("` + storageProvisionerImage + `", &format!("{REPOSITORY}/local-path-provisioner:1"))
        .replace("` + storageHelperImage + `", &format!("{REPOSITORY}/busybox:1"));
    write(&root.join("kind/manifests/default-storage.yaml"), &manifest)
}

/// The text of a Go constant in back quotes; names that are added within stay, with their quotes.
fn constant<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = source.split_once(&format!("const {name} = `"))?;
    let mut from = 0;
    loop {
        let end = from + rest[from..].find('`')?;
        // "` + name + `" goes on; anything else is the end.
        let Some(more) = rest[end..].strip_prefix("` + ").and_then(|joined| joined.find(" + `")) else {
            return Some(&rest[..end]);
        };
        from = end + "` + ".len() + more + " + `".len();
    }
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(std::io::Error::other).doing(|| "parse what ctr printed".to_owned())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).doing(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_ends_at_the_quote_that_nothing_follows() {
        let source = "var a = `no`\nconst m = `one ` + image + ` two\n`\n\nconst other = `x`\n";
        assert_eq!(constant(source, "m"), Some("one ` + image + ` two\n"));
        assert_eq!(constant(source, "missing"), None);
    }
}
