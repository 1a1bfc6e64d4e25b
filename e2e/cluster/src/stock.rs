//! The two images that every cluster needs and no registry here has, both of Debian's static busybox.

use std::process::Command;

use crate::archive::Image;
use crate::error::{Result, output_of};

const BUSYBOX: &str = "/usr/bin/busybox";

/// A shell and the usual small programs, for tests.
pub(crate) fn busybox(reference: &str) -> Result<Image> {
    let programs = output_of(Command::new(BUSYBOX).arg("--list"))?;
    let image = Image::new(reference, &["/bin/sh"]).program(BUSYBOX, "/bin/busybox").folder("root");
    let links = programs.lines().filter(|name| *name != "busybox");
    Ok(links.fold(image, |image, name| image.link("busybox", &format!("/bin/{name}"))))
}

/// The container that holds a pod's namespaces: it only has to be there. (The runtime ends it by SIGKILL.)
pub(crate) fn pause(reference: &str) -> Image {
    Image::new(reference, &["/busybox", "sleep", "2147483647"]).program(BUSYBOX, "/busybox")
}
