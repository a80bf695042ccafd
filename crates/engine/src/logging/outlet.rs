//! The lines of a sink that does not take them at once: they wait here in order, and what there is no room for is counted.
//!
//! Pure: the sink is a function that takes what it can now and never waits. Where lines were dropped, a line says how many,
//! in their place.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

/// Bytes that may wait: a few thousand lines, for a reader that pauses.
pub const MOST_BYTES: usize = 1 << 20;

/// Takes the beginning of some bytes and says how many. Errors: `WouldBlock` while it takes none.
pub type Put<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<usize>;

/// Makes the line that says how many were dropped.
pub type Notice<'a> = &'a dyn Fn(u64) -> String;

/// See the file's head.
#[derive(Debug)]
pub struct Outlet {
    waiting: VecDeque<String>,
    /// Bytes of the first line that were taken.
    taken: usize,
    /// Of all lines that wait.
    bytes: usize,
    /// Lines that were dropped behind those that wait.
    dropped: u64,
    /// The process that they are of: a child that was forked has none of its parent's lines.
    process: u32,
}

impl Outlet {
    /// Empty.
    pub const fn new() -> Outlet {
        Outlet {
            waiting: VecDeque::new(),
            taken: 0,
            bytes: 0,
            dropped: 0,
            process: 0,
        }
    }

    /// Hands a line over, behind those that wait.
    pub fn send(&mut self, line: String, notice: Notice<'_>, put: Put<'_>) {
        self.drain(notice, put);
        if self.dropped > 0 || self.bytes > 0 && self.bytes + line.len() > MOST_BYTES {
            self.dropped += 1;
            return;
        }
        self.push(line);
        self.drain(notice, put);
    }

    /// Hands over what waits, as far as it is taken. True: nothing is left.
    pub fn drain(&mut self, notice: Notice<'_>, put: Put<'_>) -> bool {
        let process = std::process::id();
        if std::mem::replace(&mut self.process, process) != process {
            self.clear();
        }
        self.put_all(put);
        if self.waiting.is_empty() && self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            self.push(notice(dropped));
            self.put_all(put);
        }
        self.waiting.is_empty()
    }

    /// Whether lines wait, or were dropped untold.
    pub fn is_behind(&self) -> bool {
        !self.waiting.is_empty() || self.dropped > 0
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes - self.taken
    }

    /// Lines of it that will not be written.
    pub fn lost(&self) -> u64 {
        self.waiting.len() as u64 + self.dropped
    }

    /// Counts lines that another sink did not take as dropped before the next one.
    pub fn add_lost(&mut self, lines: u64) {
        self.process = std::process::id();
        self.dropped += lines;
    }

    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.waiting.push_back(line);
    }

    fn put_all(&mut self, put: Put<'_>) {
        while let Some(line) = self.waiting.front() {
            match put(&line.as_bytes()[self.taken..]) {
                Ok(count) if count > 0 && self.taken + count < line.len() => self.taken += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Written, or by a sink that is broken: a log that cannot be written must not fail the work that it tells
                // of.
                Ok(_) | Err(_) => {
                    self.bytes -= line.len();
                    self.taken = 0;
                    self.waiting.pop_front();
                }
            }
        }
    }

    fn clear(&mut self) {
        self.waiting.clear();
        (self.taken, self.bytes, self.dropped) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn notice(dropped: u64) -> String {
        format!("{dropped} dropped\n")
    }

    /// A sink that takes so many bytes in all.
    struct Sink {
        text: String,
        room: usize,
    }

    impl Sink {
        fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= count;
            self.text
                .push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            Ok(count)
        }
    }

    #[test]
    fn what_is_not_taken_at_once_waits_and_comes_in_order() {
        let mut outlet = Outlet::new();
        let mut sink = Sink {
            text: String::new(),
            room: 3,
        };
        for line in ["one\n", "two\n"] {
            outlet.send(line.to_owned(), &notice, &mut |b| sink.put(b));
        }
        assert_eq!((sink.text.as_str(), outlet.bytes()), ("one", 5));
        sink.room = 6;
        assert!(outlet.drain(&notice, &mut |b| sink.put(b)));
        outlet.send("3\n".to_owned(), &notice, &mut |b| sink.put(b));
        assert_eq!(
            (sink.text.as_str(), outlet.is_behind()),
            ("one\ntwo\n3", true)
        );
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_in_its_place() {
        let mut outlet = Outlet::new();
        let mut sink = Sink {
            text: String::new(),
            room: 0,
        };
        let long = "x".repeat(MOST_BYTES / 2 - 1) + "\n";
        for _ in 0..5 {
            outlet.send(long.clone(), &notice, &mut |b| sink.put(b));
        }
        assert!(outlet.bytes() <= MOST_BYTES);
        // A short one would fit, but would stand before those that were dropped.
        outlet.send("short\n".to_owned(), &notice, &mut |b| sink.put(b));
        assert_eq!(outlet.lost(), 6);
        sink.room = usize::MAX;
        outlet.send("next\n".to_owned(), &notice, &mut |b| sink.put(b));
        assert_eq!(sink.text, format!("{long}{long}4 dropped\nnext\n"));
    }

    #[test]
    fn a_line_longer_than_all_the_room_is_written_where_nothing_waits() {
        let mut outlet = Outlet::new();
        let mut sink = Sink {
            text: String::new(),
            room: usize::MAX,
        };
        outlet.send("y".repeat(2 * MOST_BYTES), &notice, &mut |b| sink.put(b));
        assert_eq!(
            (sink.text.len(), outlet.is_behind()),
            (2 * MOST_BYTES, false)
        );
    }

    #[test]
    fn a_broken_sink_keeps_nobody_and_nothing() {
        let mut outlet = Outlet::new();
        outlet.send("gone\n".to_owned(), &notice, &mut |_| {
            Err(ErrorKind::BrokenPipe.into())
        });
        assert!(!outlet.is_behind());
    }

    proptest! {
        #[test]
        fn every_line_is_written_whole_or_counted_where_it_would_stand(
            steps in prop::collection::vec((1usize..400_000, 0usize..600_000), 1..40),
        ) {
            let mut outlet = Outlet::new();
            let mut sink = Sink { text: String::new(), room: 0 };
            for (number, (length, room)) in steps.iter().enumerate() {
                sink.room += room;
                let line = format!("{number} {}\n", "z".repeat(*length));
                outlet.send(line, &notice, &mut |b| sink.put(b));
                prop_assert!(outlet.bytes() <= MOST_BYTES + length);
            }
            sink.room = usize::MAX;
            prop_assert!(outlet.drain(&notice, &mut |b| sink.put(b)));
            let mut next = 0;
            for line in sink.text.lines() {
                let (first, rest) = line.split_once(' ').unwrap();
                let first: usize = first.parse().unwrap();
                if rest == "dropped" {
                    next += first;
                } else {
                    prop_assert_eq!((first, rest.len()), (next, steps[next].0));
                    next += 1;
                }
            }
            prop_assert_eq!(next, steps.len());
        }
    }
}
