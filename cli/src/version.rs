//! `greenroom version`.

use serde::Serialize;

use crate::failure::Result;
use crate::output::{self, DataFormat};

/// Print the version
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The form of the output; the version alone if not given
    #[arg(short, long, value_enum)]
    output: Option<DataFormat>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: &'static str,
    mesh_protocol: u32,
    platform: String,
}

pub(crate) fn run(args: &Args) -> Result {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        mesh_protocol: greenroom_proto::MESH_PROTOCOL,
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
    };
    match args.output {
        Some(format) => output::print_data(&version, format),
        None => output::print(&format!("greenroom {}", version.version)),
    }
}
