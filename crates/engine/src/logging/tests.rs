//! Journals side by side in one process.

use std::fmt;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::{self, Config};

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("wasi-nn-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn settings(path: &Path, change: impl FnOnce(&mut config::Logging)) -> config::Logging {
    let (config, _) = Config::from_layers(&[]);
    let mut settings = config.logging;
    settings.file = Some(path.to_owned());
    settings.timestamps = false;
    change(&mut settings);
    settings
}

fn journal(path: &Path, change: impl FnOnce(&mut config::Logging)) -> Arc<Journal> {
    let (journal, problem) = Journal::open(&settings(path, change), None);
    assert_eq!(problem, None);
    Arc::new(journal)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn each_thread_writes_to_the_journal_that_it_entered() {
    let folder = Folder::new("journals");
    let (a, b) = (folder.0.join("a.log"), folder.0.join("b.log"));
    let journals = [
        journal(&a, |_| ()),
        journal(&b, |s| s.level = config::Level::Error),
    ];
    journals.iter().for_each(open);
    std::thread::scope(|scope| {
        for (n, journal) in journals.iter().enumerate() {
            scope.spawn(move || {
                let _entered = enter(journal);
                log::info!(target: "session", "info of {n}");
                log::error!(target: "session", n; "error");
            });
        }
    });
    journals.iter().for_each(close);
    assert_eq!(
        read(&a),
        "info  [session] info of 0\nerror [session] error n=0\n"
    );
    assert_eq!(read(&b), "error [session] error n=1\n");
}

#[test]
fn levels_categories_and_file_change_under_way_and_a_line_is_in_the_file_at_once() {
    let folder = Folder::new("change");
    let (a, b) = (folder.0.join("a.log"), folder.0.join("b.log"));
    let own = journal(&a, |s| s.level = config::Level::Warn);
    open(&own);
    let _entered = enter(&own);
    let change = |settings: &config::Logging, directives: Option<&Directives>| {
        assert_eq!(own.reopen(settings, directives), None);
        update_level();
    };
    log::info!(target: "queue", "1");
    log::warn!(target: "queue", "2");
    assert_eq!(read(&a), "warn  [queue] 2\n");
    change(&settings(&a, |s| s.enable_debug = true), None);
    log::debug!(target: "queue", "3");
    assert_eq!(read(&a), "warn  [queue] 2\ndebug [queue] 3\n");
    let (directives, _) = Directives::parse("error,memory=info/idle");
    change(&settings(&b, |s| s.structured = true), directives.as_ref());
    log::info!(target: "queue", "idle");
    log::info!(target: "memory", "busy");
    log::info!(target: "memory", "idle");
    assert_eq!(
        read(&b),
        "{\"level\":\"info\",\"category\":\"memory\",\"message\":\"idle\"}\n"
    );
    change(&settings(&b, |_| ()), None);
    log::info!(target: "queue", "4");
    assert!(read(&b).ends_with("}\ninfo  [queue] 4\n"));
    assert_eq!(read(&a).lines().count(), 2);
    close(&own);
}

#[test]
fn a_file_that_cannot_be_opened_is_named_and_stderr_is_used() {
    let settings = settings(Path::new("/nonexistent-folder/x.log"), |_| ());
    let (_, problem) = Journal::open(&settings, None);
    assert!(problem.unwrap().contains("/nonexistent-folder/x.log"));
}

#[test]
fn nobody_looks_at_the_parts_of_a_line_that_is_not_written() {
    /// Fails whoever looks at it.
    struct Untouchable;
    impl fmt::Display for Untouchable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("a line that is not written was made");
        }
    }
    let folder = Folder::new("silent");
    let (quiet, talkative) = (folder.0.join("quiet.log"), folder.0.join("talkative.log"));
    let quiet = journal(&quiet, |s| s.level = config::Level::None);
    // The facade lets debug lines through for the sake of another backend.
    let talkative = journal(&talkative, |s| s.level = config::Level::Debug);
    [&quiet, &talkative].into_iter().for_each(open);
    assert!(log::max_level() >= LevelFilter::Debug);
    let _entered = enter(&quiet);
    let part = Untouchable;
    log::error!(target: "queue", part:%; "{part}");
    log::debug!(target: "queue", part:%; "{part}");
    [&quiet, &talkative].into_iter().for_each(close);
}

#[test]
fn the_level_of_a_journal_is_that_of_its_most_talkative_category() {
    let folder = Folder::new("level");
    let path = folder.0.join("x.log");
    let check = |directives: &str, expect: LevelFilter| {
        let (directives, _) = Directives::parse(directives);
        let (journal, _) = Journal::open(&settings(&path, |_| ()), directives.as_ref());
        assert_eq!(journal.level(), expect);
    };
    check("", LevelFilter::Info);
    check("off", LevelFilter::Off);
    check("memory=debug,warn", LevelFilter::Debug);
    check("someone_else=trace", LevelFilter::Off);
}
