//! The wire protocols of Greenroom: every `.proto` stands in `proto/greenroom/v1`, the Rust types made from them in
//! `generated/` (`cargo xtask generate`, committed so that nobody's build pays for a protobuf compiler).
//!
//! Nothing here does I/O or knows the types of the other crates.

#[allow(missing_docs, clippy::all, unreachable_pub)]
#[path = "generated/greenroom.v1.rs"]
pub mod v1;

/// The descriptors of all protocols, for gRPC reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptor.bin");

/// The version of the mesh protocol that this build speaks.
pub const MESH_PROTOCOL: u32 = 1;
