//! Places of an engine thread where a test lets it panic. Outside of tests they are nothing.

/// A place where the thread may panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// After the commands were taken in.
    TakeIn,
    /// When a round begins with its waiting jobs.
    Sweep,
    /// While a reservation has a sequence that no slot has.
    Reserve,
    /// Between the queue and a slot.
    Admit,
    /// When the batch is filled.
    Plan,
    /// While the cores are taken.
    Evaluate,
    /// While the cores are given back.
    GiveBack,
    /// Between two slots that are sampled.
    Deliver,
    /// When a turn that has left its slot is answered.
    Answer,
    /// When the turns of a step that failed are let go.
    Fail,
    /// When what a panic left behind is put in order.
    Recover,
    /// When the figures are published.
    Publish,
    /// When everybody is answered because nothing else can be done.
    AnswerAll,
    /// When the thread or its loop ends, before each of the parts that go.
    Dismantle,
    /// When a loop begins.
    Begin,
}

#[cfg(not(test))]
#[inline(always)]
pub fn hit(_: Point) {}

#[cfg(test)]
pub use armed::hit;

/// Plans of tests.
#[cfg(test)]
pub mod armed {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::Point;

    impl Point {
        /// All of them.
        pub const ALL: [Point; 15] = [
            Point::TakeIn,
            Point::Sweep,
            Point::Reserve,
            Point::Admit,
            Point::Plan,
            Point::Evaluate,
            Point::GiveBack,
            Point::Deliver,
            Point::Answer,
            Point::Fail,
            Point::Recover,
            Point::Publish,
            Point::AnswerAll,
            Point::Dismantle,
            Point::Begin,
        ];
    }

    thread_local! {
        static PLAN: RefCell<Option<Arc<Plan>>> = const { RefCell::new(None) };
    }

    /// How often each place of one thread panics when it is next reached, and how often it was reached.
    #[derive(Default)]
    pub struct Plan {
        armed: Mutex<BTreeMap<Point, u32>>,
        hits: Mutex<BTreeMap<Point, u32>>,
    }

    impl Plan {
        /// The next so many times.
        pub fn arm(&self, point: Point, times: u32) {
            self.armed.lock().insert(point, times);
        }

        /// No place panics any more.
        pub fn disarm(&self) {
            self.armed.lock().clear();
        }

        /// How often a place has panicked.
        pub fn hits(&self, point: Point) -> u32 {
            self.hits.lock().get(&point).copied().unwrap_or(0)
        }

        /// Is the plan of this thread from now on.
        pub fn enter(self: &Arc<Plan>) {
            PLAN.set(Some(self.clone()));
        }

        fn takes(&self, point: Point) -> bool {
            let mut armed = self.armed.lock();
            let left = armed.get_mut(&point).filter(|left| **left > 0);
            if let Some(left) = left {
                *left -= 1;
                *self.hits.lock().entry(point).or_default() += 1;
                return true;
            }
            false
        }
    }

    /// Panics if the thread's plan says so.
    pub fn hit(point: Point) {
        let takes = PLAN.with_borrow(|plan| plan.as_ref().is_some_and(|plan| plan.takes(point)));
        if takes {
            std::panic::resume_unwind(Box::new(format!("at {point:?}")));
        }
    }
}
