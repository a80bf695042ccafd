//! Tests of the registry, the policies and what a refusal tells.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use super::{Found, Names, Policy, Refusal, Target};

/// A folder of one test, removed with it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("wasi-nn-names-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(fs::canonicalize(path).unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file with its own name as content.
    fn file(&self, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(preload: &str, root: &str, policy: &str) -> Names {
    let (names, wrong) = Names::read(Some(preload), Some(root), Some(policy));
    assert_eq!(wrong, Vec::<String>::new());
    names
}

fn content(found: &Found) -> String {
    let through = found.file.as_ref().map(super::descriptor_path);
    fs::read_to_string(through.as_ref().unwrap_or(&found.path)).unwrap()
}

#[track_caller]
fn is_refused(result: Result<Found, Refusal>) {
    assert!(matches!(result, Err(Refusal::Refused(_))), "{result:?}");
}

#[track_caller]
fn is_missing(result: Result<Found, Refusal>) {
    assert!(matches!(result, Err(Refusal::NotFound(_))), "{result:?}");
}

#[test]
fn the_registry_has_targets_and_paths_with_colons() {
    let folder = Folder::new("registry");
    let (plain, colons) = (folder.file("plain"), folder.file("a:GGML:CPU:b"));
    let preload =
        format!("default:GGML:AUTO:{plain}; tiny:ggml:cpu:{colons} ;;big:GGML:GPU:{plain};");
    let names = names(&preload, "", "");
    for (name, target, text) in [
        ("default", Target::Auto, "plain"),
        ("tiny", Target::Cpu, "a:GGML:CPU:b"),
        ("big", Target::Gpu, "plain"),
    ] {
        let found = names.resolve(name).unwrap();
        assert_eq!(
            (found.target, content(&found).as_str()),
            (target, text),
            "{name}"
        );
    }
}

#[test]
fn a_broken_entry_is_skipped_and_told_with_its_position() {
    let folder = Folder::new("broken");
    let file = folder.file("m");
    let broken = [
        "x",
        "x:GGML",
        "x:GGML:CPU",
        "x:GGML:CPU:",
        ":GGML:CPU:m",
        "x:ONNX:CPU:m",
        "x:GGML:TPU:m",
    ];
    for entry in broken {
        let preload = format!("good:GGML:CPU:{file};;{entry};last:GGML:AUTO:{file}");
        let (names, wrong) = Names::read(Some(&preload), None, None);
        assert_eq!(wrong.len(), 1, "{entry}: {wrong:?}");
        assert!(wrong[0].contains("entry 3 "), "{wrong:?}");
        assert!(
            names.resolve("good").is_ok() && names.resolve("last").is_ok(),
            "{entry}"
        );
        is_missing(names.resolve("x"));
    }
    let preload = format!("m:GGML:CPU:{file};m:GGML:GPU:{file}");
    let (names, wrong) = Names::read(Some(&preload), None, None);
    assert_eq!(
        (names.resolve("m").unwrap().target, wrong.len()),
        (Target::Cpu, 1)
    );
}

#[test]
fn the_policy_follows_the_root_unless_it_is_written() {
    let folder = Folder::new("policy");
    let root = folder.path("").to_str().unwrap().to_owned();
    let policy = |root: &str, policy: &str| {
        let (names, wrong) = Names::read(None, Some(root), Some(policy));
        (names.policy(), wrong.len())
    };
    assert_eq!(policy("", ""), (Policy::Path, 0));
    assert_eq!(policy(&root, ""), (Policy::Root, 0));
    assert_eq!(policy(&root, "path"), (Policy::Path, 0));
    assert_eq!(policy(&root, "registry"), (Policy::Registry, 0));
    assert_eq!(policy("", "registry"), (Policy::Registry, 0));
    assert_eq!(policy("", "root"), (Policy::Root, 1));
    assert_eq!(policy("", "Path"), (Policy::Registry, 1));
    assert_eq!(policy("/nowhere/at/all", ""), (Policy::Root, 2));
    assert_eq!(Names::read(None, None, None).0.policy(), Policy::Path);
}

#[test]
fn what_is_wrong_with_the_settings_never_opens_a_path() {
    let folder = Folder::new("closed");
    let file = folder.file("m");
    for (root, policy) in [
        (None, Some("root")),
        (Some("/nowhere/at/all"), None),
        (Some(file.as_str()), None),
    ] {
        let (names, wrong) = Names::read(None, root, policy);
        assert!(!wrong.is_empty());
        is_refused(names.resolve(&file));
        is_refused(names.resolve("m"));
    }
    let (names, _) = Names::read(None, None, Some("everything"));
    is_refused(names.resolve(&file));
}

#[test]
fn any_readable_file_is_found_under_the_path_policy() {
    let folder = Folder::new("path");
    let file = folder.file("m");
    let names = names("", "", "");
    assert_eq!(content(&names.resolve(&file).unwrap()), "m");
    for missing in [
        "",
        ".",
        "/",
        "/nowhere/at/all",
        "/dev/null",
        folder.path("").to_str().unwrap(),
    ] {
        is_missing(names.resolve(missing));
    }
    is_refused(names.resolve("a\0b"));
    is_missing(names.resolve(&"a".repeat(1 << 20)));
}

#[test]
fn below_the_root_relative_and_absolute_names_are_found() {
    let folder = Folder::new("root");
    folder.file("root/sub/m");
    let root = folder.path("root");
    std::os::unix::fs::symlink(&root, folder.path("alias")).unwrap();
    std::os::unix::fs::symlink("sub/m", folder.path("root/link")).unwrap();
    let alias = folder.path("alias").to_str().unwrap().to_owned();
    let names = names("", &alias, "");
    let real = root.join("sub/m");
    for name in [
        "sub/m".to_owned(),
        "./sub//m".to_owned(),
        "link".to_owned(),
        format!("{alias}/sub/m"),
        real.to_str().unwrap().to_owned(),
    ] {
        let found = names.resolve(&name).unwrap();
        assert_eq!((&found.path, found.target), (&real, Target::Auto), "{name}");
        assert_eq!(content(&found), "root/sub/m");
    }
    for missing in [
        "",
        "sub",
        "other",
        &format!("{alias}/other"),
        &"a/".repeat(10_000),
    ] {
        is_missing(names.resolve(missing));
    }
}

#[test]
fn a_path_out_of_the_root_is_refused_the_same_whether_it_exists_or_not() {
    let folder = Folder::new("out");
    let secret = folder.file("secret");
    folder.file("root/m");
    folder.file("root-of-others/m");
    let at = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    let link = |to: &str, from: &str| {
        std::os::unix::fs::symlink(to, folder.path("root").join(from)).unwrap()
    };
    link("../secret", "to-one");
    link("../absent", "to-none");
    let names = names("", &at("root"), "");
    for (real, absent) in [
        ("../secret", "../absent"),
        ("to-one", "to-none"),
        ("m/../../secret", "m/../../absent"),
        ("/etc/passwd", "/etc/absent"),
        (&at("root/../secret"), &at("root/../absent")),
        (&at("root-of-others/m"), &at("root-of-others/absent")),
        (&secret, &at("absent")),
    ] {
        let said = |name: &str| match names.resolve(name) {
            Err(Refusal::Refused(said)) => said.replace(name, "NAME"),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(said(real), said(absent));
    }
}

#[test]
fn the_registry_leads_out_of_the_root_because_it_is_the_hosts_word() {
    let folder = Folder::new("both");
    let outside = folder.file("outside");
    folder.file("root/m");
    let root = folder.path("root").to_str().unwrap().to_owned();
    let preload = format!("big:GGML:GPU:{outside};gone:GGML:CPU:/nowhere/at/all");
    let names = names(&preload, &root, "");
    assert_eq!(content(&names.resolve("big").unwrap()), "outside");
    assert_eq!(content(&names.resolve("m").unwrap()), "root/m");
    is_missing(names.resolve("gone"));
    is_refused(names.resolve_path(&outside));
    is_missing(names.resolve_path("big"));
}

#[test]
fn under_the_registry_policy_only_its_names_lead_anywhere() {
    let folder = Folder::new("names");
    let file = folder.file("m");
    let names = names(&format!("m:GGML:CPU:{file}"), "", "registry");
    assert_eq!(content(&names.resolve("m").unwrap()), "m");
    for unknown in ["x", "", "m2"] {
        let result = names.resolve(unknown);
        assert!(matches!(result, Err(Refusal::Unknown(_))), "{result:?}");
    }
    for path in [file.as_str(), "/nowhere/at/all", "./m", "a/b"] {
        is_refused(names.resolve(path));
    }
    is_refused(names.resolve_path(&file));
    is_refused(names.resolve_path("m"));
}

#[test]
fn a_file_that_was_judged_is_read_even_when_another_takes_its_place() {
    let folder = Folder::new("swap");
    folder.file("root/m");
    let root = folder.path("root").to_str().unwrap().to_owned();
    let mut found = names("", &root, "").resolve("m").unwrap();
    fs::rename(folder.file("other"), folder.path("root/m")).unwrap();
    assert_eq!(content(&found), "root/m");
    assert_eq!(fs::read_to_string(&found.path).unwrap(), "other");
    let mut text = String::new();
    found
        .file
        .as_mut()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "root/m");
}

#[test]
fn what_a_guest_names_cannot_break_a_line_of_the_log() {
    let names = names("", "", "registry");
    let hostile = format!("\n[ERROR] \u{1b}[31m\u{202e}{}", "x".repeat(10_000));
    let Err(Refusal::Unknown(said)) = names.resolve(&hostile) else {
        panic!("found");
    };
    assert!(
        said.len() < 300 && said.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{said:?}"
    );
}
