//! The charts: what they render, what a real API server says to it, and a release's way from install to uninstall.
//!
//! Helm is the real one, and so is the API server; no pods run, which the scenarios of `e2e/` are for.

#![allow(clippy::unwrap_used, reason = "helpers of tests; what fails is shown with its place")]

mod release;
mod render;
mod rights;
mod support;
