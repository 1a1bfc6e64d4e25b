//! The program `greenroom-placement-api`.

fn main() {}
