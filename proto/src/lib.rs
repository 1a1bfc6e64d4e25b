//! The wire protocols of Greenroom: every `.proto` stands in `proto/greenroom/v1`, the Rust types made from them in
//! `generated/` (`cargo xtask generate`, committed so that nobody's build pays for a protobuf compiler).
//!
//! [`convert`] turns them into the types of the core and back. Nothing here does I/O.

pub mod convert;

#[allow(missing_docs, clippy::all, unreachable_pub)]
#[rustfmt::skip]
#[path = "generated/greenroom.v1.rs"]
pub mod v1;

/// The descriptors of all protocols, for gRPC reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptor.bin");

/// The version of the mesh protocol that this build speaks.
pub const MESH_PROTOCOL: u32 = 1;
