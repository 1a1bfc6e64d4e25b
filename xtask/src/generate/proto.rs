//! Rust code and the descriptor set of the wire protocols, from `proto/greenroom/**/*.proto`.
//!
//! protox is a protobuf compiler in Rust, so no `protoc` has to be installed. The descriptor set is what the
//! reflection service of a node serves.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use protox::prost::Message;
use protox::prost_reflect::prost_types::FileDescriptorSet;

use super::Outputs;

const SOURCES: &str = "proto/greenroom";
const FOLDER: &str = "proto/src/generated";
/// Says to people and to tools (which look for the first word) that edits here are lost.
const HEAD: &str = "// @generated from the .proto files by `cargo xtask generate`. Do not edit.\n\n";

pub(super) fn generate(root: &Path, outputs: &mut Outputs) -> Result<()> {
    let mut descriptors = compile(root)?;

    let target = tempfile::tempdir()?;
    tonic_prost_build::configure()
        .out_dir(target.path())
        .emit_rerun_if_changed(false)
        // Payloads pass through a node untouched: slices of the frame, not copies.
        .bytes(".")
        .compile_fds(descriptors.clone())?;
    for file in files_below(target.path(), "rs")? {
        let name = file.file_name().expect("a listed file has a name");
        let code = fs::read_to_string(&file)?;
        outputs.add(Path::new(FOLDER).join(name), HEAD.to_owned() + &code);
    }

    // Comments and positions are of no use to a client that asks for reflection.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    outputs.add(Path::new(FOLDER).join("descriptor.bin"), descriptors.encode_to_vec());
    outputs.folders.push(FOLDER.into());
    Ok(())
}

fn compile(root: &Path) -> Result<FileDescriptorSet> {
    let sources = files_below(&root.join(SOURCES), "proto")?;
    ensure!(!sources.is_empty(), "there is no .proto file below {SOURCES}");
    let mut compiler = protox::Compiler::new([root.join("proto")])?;
    compiler.include_imports(true).include_source_info(true);
    // The `Debug` form of protox's errors is the one that names file, line and column.
    compiler.open_files(&sources).map_err(|error| anyhow!("{error:?}"))?;
    Ok(compiler.file_descriptor_set())
}

/// All files below `folder` with this extension, sorted, so that the output does not depend on the file system.
fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_below(&path, extension)?);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate_from(source: &str) -> Result<Outputs> {
        let root = tempfile::tempdir()?;
        fs::create_dir_all(root.path().join(SOURCES))?;
        fs::write(root.path().join(SOURCES).join("x.proto"), source)?;
        let mut outputs = Outputs::default();
        generate(root.path(), &mut outputs)?;
        Ok(outputs)
    }

    #[test]
    fn a_message_becomes_rust_with_shared_bytes_and_a_descriptor_without_comments() {
        let source = "syntax = \"proto3\"; package x;\n// Speaks.\nmessage Ping { bytes payload = 1; }";
        let outputs = generate_from(source).unwrap();
        let code = String::from_utf8(outputs.files[&Path::new(FOLDER).join("x.rs")].clone()).unwrap();
        assert!(code.starts_with(HEAD) && code.contains("/// Speaks."), "{code}");
        assert!(code.contains("payload: ::prost::bytes::Bytes"), "{code}");

        let bytes = &outputs.files[&Path::new(FOLDER).join("descriptor.bin")];
        let set = FileDescriptorSet::decode(bytes.as_slice()).unwrap();
        assert_eq!(set.file[0].message_type[0].name(), "Ping");
        assert_eq!(set.file[0].source_code_info, None);
    }

    #[test]
    fn a_mistake_is_reported_with_its_line() {
        let error = generate_from("syntax = \"proto3\";\nmessage Ping { Pong pong = 1; }").err().unwrap();
        assert!(error.to_string().contains("x.proto:2:"), "{error}");
    }
}
