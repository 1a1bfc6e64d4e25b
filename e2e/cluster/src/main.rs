//! The program `greenroom-e2e-cluster`.

fn main() {}
