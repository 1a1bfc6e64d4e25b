//! What the macros accept, under lints as strict as a user may have set them. That it compiles is most of the test, and
//! here it costs nothing more: what trybuild would have to link, it builds with all dependencies once more.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

extern crate greenroom_core as greenroom;

mod default_root;
mod inside_a_function;
mod protobuf;
pub mod visibility;
