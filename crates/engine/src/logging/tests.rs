//! Journals side by side in one process.

use super::*;
use crate::config::Config;

fn journal(
    path: &std::path::Path,
    change: impl FnOnce(&mut crate::config::Logging),
) -> Arc<Journal> {
    let (config, _) = Config::from_layers(&[]);
    let mut settings = config.logging;
    settings.file = Some(path.to_owned());
    settings.timestamps = false;
    change(&mut settings);
    let (journal, problem) = Journal::open(&settings);
    assert_eq!(problem, None);
    Arc::new(journal)
}

#[test]
fn each_thread_writes_to_the_journal_that_it_entered() {
    let dir = std::env::temp_dir().join(format!("wasi-nn-journal-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (a, b) = (dir.join("a.log"), dir.join("b.log"));
    let journals = [
        journal(&a, |_| ()),
        journal(&b, |s| s.level = crate::config::Level::Error),
    ];
    journals.iter().for_each(open);
    std::thread::scope(|scope| {
        for (n, journal) in journals.iter().enumerate() {
            scope.spawn(move || {
                let _entered = enter(journal);
                log::info!(target: "session", "info of {n}");
                log::error!(target: "session", "error of {n}");
            });
        }
    });
    journals.iter().for_each(close);
    let read = |path| std::fs::read_to_string(path).unwrap();
    assert_eq!(
        read(&a),
        "info  [session] info of 0\nerror [session] error of 0\n"
    );
    assert_eq!(read(&b), "error [session] error of 1\n");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_file_that_cannot_be_opened_is_named_and_stderr_is_used() {
    let (config, _) = Config::from_layers(&[]);
    let mut settings = config.logging;
    settings.file = Some("/nonexistent-folder/x.log".into());
    let (_, problem) = Journal::open(&settings);
    assert!(problem.unwrap().contains("/nonexistent-folder/x.log"));
}
