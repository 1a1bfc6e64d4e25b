//! The program `greenroom-operator`.

fn main() {}
