//! The virtual resources, a file each.

pub mod actor_placements;
