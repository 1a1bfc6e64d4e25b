//! An image as one file: an OCI image layout in a tar archive, which also carries the list that Docker looks for.
//!
//! So the same file serves `ctr images import`, `kind load image-archive`, `docker load` and `skopeo`. The same files
//! always give the same bytes: nothing in it tells when or by whom it was made.

use std::io::Write;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::contents::{Entry, Files, Image, USER, path_of};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The time of everything.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// The archive of `image` with one layer of `files`, under `name`, such as `greenroom.dev/greenroom`, and each of `tags`.
///
/// Under each tag it is an image of its own, of the version that the tag says; the layer is there once.
pub(super) fn pack(image: &Image, files: &Files, name: &str, tags: &[String]) -> Result<Vec<u8>> {
    let tar = layer(files)?;
    // Most of the gain at a fraction of the time.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&tar)?;
    let mut blobs = Blobs::default();
    let (layer, diff_id) = (blobs.add(LAYER, gzip.finish()?), digest(&tar));
    let (mut manifests, mut docker) = (Vec::new(), Vec::new());
    for tag in tags {
        let reference = format!("{name}:{tag}");
        let config = blobs.add(CONFIG, serde_json::to_vec(&config(image, &diff_id, tag))?);
        docker.push(json!({ "Config": path(&config), "Layers": [path(&layer)], "RepoTags": [&reference] }));
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [&layer] });
        let mut manifest = blobs.add(MANIFEST, serde_json::to_vec(&manifest)?);
        manifest["platform"] = json!({ "architecture": architecture(), "os": "linux" });
        // containerd takes the first for the name; tools that follow the specification to the letter take the second.
        manifest["annotations"] = json!({
            "io.containerd.image.name": reference,
            "org.opencontainers.image.ref.name": tag,
        });
        manifests.push(manifest);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests });

    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    append(&mut archive, "index.json", 0o644, &serde_json::to_vec(&index)?)?;
    append(&mut archive, "manifest.json", 0o644, &serde_json::to_vec(&docker)?)?;
    for (descriptor, blob) in &blobs.0 {
        append(&mut archive, &path(descriptor), 0o644, blob)?;
    }
    Ok(archive.into_inner()?)
}

/// What a container runtime has to know.
fn config(image: &Image, diff_id: &str, version: &str) -> Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        "created": EPOCH,
        "config": {
            "User": USER,
            "Entrypoint": [format!("/{}", path_of(&image.programs[0]))],
            "Env": ["PATH=/usr/local/bin"],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": image.name,
                "org.opencontainers.image.description": image.description,
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": EPOCH, "created_by": "cargo xtask image" }],
    })
}

/// The architecture by its name in images.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// The files as a layer. They belong to root: the program may read itself, and change nothing.
fn layer(files: &Files) -> Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    for (path, entry) in files {
        match entry {
            Entry::Folder { mode } => {
                let mut header = header(EntryType::Directory, *mode, 0);
                layer.append_data(&mut header, format!("{path}/"), std::io::empty())?;
            }
            Entry::File { mode, content } => append(&mut layer, path, *mode, content)?,
        }
    }
    Ok(layer.into_inner()?)
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> Result<()> {
    Ok(archive.append_data(&mut header(EntryType::Regular, mode, content.len()), path, content)?)
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// What the archive holds by its digest, each with its descriptor.
#[derive(Default)]
struct Blobs(Vec<(Value, Vec<u8>)>);

impl Blobs {
    fn add(&mut self, media_type: &str, blob: Vec<u8>) -> Value {
        let descriptor = json!({ "mediaType": media_type, "digest": digest(&blob), "size": blob.len() });
        self.0.push((descriptor.clone(), blob));
        descriptor
    }
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Where the blob of a descriptor lies in the archive.
fn path(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().expect("a descriptor has a digest");
    format!("blobs/{}", digest.replace(':', "/"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;
    use crate::image::contents::chosen;

    fn packed() -> Vec<u8> {
        let files = Files::from([
            ("tmp".to_owned(), Entry::Folder { mode: 0o1777 }),
            ("tmp/x".to_owned(), Entry::File { mode: 0o755, content: b"x".to_vec() }),
        ]);
        let tags = ["1", "2"].map(str::to_owned);
        pack(chosen(&[]).unwrap()[0], &files, "example.org/greenroom", &tags).unwrap()
    }

    /// The files of an archive: path, mode and content.
    fn unpacked(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), (entry.header().mode().unwrap(), content))
        });
        entries.collect()
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        assert_eq!(packed(), packed());
    }

    #[test]
    fn every_tag_leads_to_its_own_image_and_all_to_the_same_layer() {
        let archive = unpacked(&packed());
        let read = |path: &str| serde_json::from_slice::<Value>(&archive[path].1).unwrap();
        let blob = |descriptor: &Value| {
            let blob = archive[&path(descriptor)].1.clone();
            assert_eq!(digest(&blob), descriptor["digest"]);
            assert_eq!(blob.len(), descriptor["size"]);
            blob
        };
        for (number, tag) in ["1", "2"].into_iter().enumerate() {
            let (descriptor, reference) =
                (&read("index.json")["manifests"][number], format!("example.org/greenroom:{tag}"));
            assert_eq!(descriptor["annotations"]["io.containerd.image.name"], reference);
            let manifest: Value = serde_json::from_slice(&blob(descriptor)).unwrap();
            let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
            assert_eq!(config["config"]["Entrypoint"], json!(["/usr/local/bin/greenroom"]));
            assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], tag);

            let mut layer = Vec::new();
            let compressed = blob(&manifest["layers"][0]);
            flate2::read::GzDecoder::new(compressed.as_slice()).read_to_end(&mut layer).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&layer)]));
            let layer = unpacked(&layer);
            assert_eq!(layer["tmp/"].0, 0o1777);
            assert_eq!(layer["tmp/x"], (0o755, b"x".to_vec()));

            let docker = &read("manifest.json")[number];
            assert_eq!(docker["RepoTags"], json!([reference]));
            assert_eq!(docker["Layers"], json!([path(&manifest["layers"][0])]));
        }
    }
}
