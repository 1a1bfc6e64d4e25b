//! Which images there are, and every file in them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Who the programs run as: not root, and the number that images without a distribution use by habit.
pub(super) const USER: &str = "65532:65532";

/// A program of the workspace.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Program {
    pub(super) package: &'static str,
    pub(super) name: &'static str,
}

const fn program(package: &'static str, name: &'static str) -> Program {
    Program { package, name }
}

/// An image.
pub(super) struct Image {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// They lie in `/usr/local/bin`. The first is the entrypoint.
    pub(super) programs: &'static [Program],
}

const IMAGES: &[Image] = &[
    Image {
        name: "greenroom",
        description: "Stock node, command line, operator and placement API of Greenroom",
        programs: &[
            program("greenroom-cli", "greenroom"),
            program("greenroom-operator", "greenroom-operator"),
            program("greenroom-placement-api", "greenroom-placement-api"),
        ],
    },
    Image {
        name: "greenroom-wordcount",
        description: "The node of Greenroom's example wordcount: what a user's own image looks like",
        programs: &[program("greenroom-wordcount", "wordcount-node")],
    },
];

/// The images with these names; all of them without a name.
pub(super) fn chosen(names: &[String]) -> Result<Vec<&'static Image>> {
    if names.is_empty() {
        return Ok(IMAGES.iter().collect());
    }
    let by_name = |name: &String| {
        let all = || IMAGES.iter().map(|image| image.name).collect::<Vec<_>>().join(", ");
        let found = IMAGES.iter().find(|image| image.name == name);
        found.with_context(|| format!("there is no image {name}; there are {}", all()))
    };
    names.iter().map(by_name).collect()
}

/// The path of a program in its image.
pub(super) fn path_of(program: &Program) -> String {
    format!("usr/local/bin/{}", program.name)
}

/// A file or folder of an image.
pub(super) enum Entry {
    Folder { mode: u32 },
    File { mode: u32, content: Vec<u8> },
}

/// The tree of an image: paths without a leading slash, every folder before what is in it.
pub(super) type Files = BTreeMap<String, Entry>;

/// Everything in the image. `programs` says where each program was built.
pub(super) fn files(image: &Image, programs: &BTreeMap<&Program, PathBuf>) -> Result<Files> {
    let mut files = Files::new();
    for folder in ["etc", "usr", "usr/local", "usr/local/bin"] {
        files.insert(folder.into(), Entry::Folder { mode: 0o755 });
    }
    // A pod's root is read-only; without one, this is where a program may write.
    files.insert("tmp".into(), Entry::Folder { mode: 0o1777 });
    let mut text = |path: &str, text: &[u8]| {
        files.insert(path.into(), Entry::File { mode: 0o644, content: text.to_vec() });
    };
    text("etc/passwd", b"root:x:0:0:root:/:/\ngreenroom:x:65532:65532:greenroom:/:/\n");
    text("etc/group", b"root:x:0:\ngreenroom:x:65532:\n");
    // The C library looks names up in these two places, and then needs none of the modules that it would load.
    text("etc/nsswitch.conf", b"hosts: files dns\n");
    text("LICENSE", &read(&workspace::root().join("LICENSE"))?);
    for program in image.programs {
        let Some(built) = programs.get(program) else { bail!("{} was not built", program.name) };
        files.insert(path_of(program), Entry::File { mode: 0o755, content: read(built)? });
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes the tree below `root`.
pub(super) fn write(files: &Files, root: &Path) -> Result<()> {
    fs::create_dir_all(root)?;
    for (path, entry) in files {
        let path = root.join(path);
        let mode = match entry {
            Entry::Folder { mode } => fs::create_dir_all(&path).map(|()| *mode),
            Entry::File { mode, content } => fs::write(&path, content).map(|()| *mode),
        };
        mode.and_then(|mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_does_not_exist_is_refused_with_those_that_do() {
        let error = chosen(&["grenroom".into()]).err().unwrap().to_string();
        assert_eq!(error, "there is no image grenroom; there are greenroom, greenroom-wordcount");
        assert_eq!(chosen(&[]).unwrap().len(), 2);
    }

    #[test]
    fn a_tree_has_the_files_with_their_modes() {
        let root = tempfile::tempdir().unwrap();
        let built = root.path().join("built");
        fs::write(&built, "program").unwrap();
        let image = chosen(&["greenroom-wordcount".into()]).unwrap()[0];
        let programs = BTreeMap::from([(&image.programs[0], built)]);
        let tree = root.path().join("tree");
        write(&files(image, &programs).unwrap(), &tree).unwrap();

        let mode = |path: &str| fs::metadata(tree.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(fs::read(tree.join("usr/local/bin/wordcount-node")).unwrap(), b"program");
        assert_eq!(mode("usr/local/bin/wordcount-node"), 0o755);
        assert_eq!(mode("tmp"), 0o1777);
        assert_eq!(mode("etc/nsswitch.conf"), 0o644);
    }
}
