//! The placement API.
