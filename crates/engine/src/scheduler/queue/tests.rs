//! Each rule of admission by itself; files below hold rotation, the model and the bounds.

mod model;
mod rotation;
mod simulation;

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// With the clock standing still.
fn at(step: u64) -> Now {
    Now { step, time: *START }
}

fn after(time: Duration) -> Now {
    Now {
        step: 0,
        time: *START + time,
    }
}

fn limits() -> Limits {
    Limits {
        warn_at: 1000,
        reject_at: 1000,
        by_class: true,
        fair: true,
        sweep_expired: true,
    }
}

fn ask(class: Class, client: u64) -> Ask {
    Ask {
        class,
        client: Client(client),
        deadline: *START + Duration::from_secs(3600),
    }
}

/// A queue of jobs 0, 1, ... of these classes and clients.
fn queue_of(limits: Limits, jobs: &[(Class, u64)]) -> Queue<u32> {
    let mut queue = Queue::new(limits);
    for (job, &(class, client)) in (0..).zip(jobs) {
        queue.push(job, ask(class, client), at(0)).unwrap();
    }
    queue
}

fn take(queue: &mut Queue<u32>, now: Now) -> Option<(u32, Standing)> {
    let choice = queue.next(now, |_| true)?;
    queue.take(choice, now)
}

fn take_all(queue: &mut Queue<u32>, now: Now) -> Vec<u32> {
    std::iter::from_fn(|| take(queue, now).map(|(job, _)| job)).collect()
}

#[test]
fn a_class_that_was_silent_earns_no_credit() {
    let mut queue = queue_of(limits(), &[(Class::High, 1); 9]);
    queue.push(9, ask(Class::Low, 1), at(0)).unwrap();
    // The low job gains credit at each of two admissions, would be third, and is cancelled.
    for job in 0..2 {
        assert_eq!(take(&mut queue, at(0)).unwrap().0, job);
    }
    assert_eq!(queue.remove(|&job| job == 9), [9]);
    assert_eq!(take(&mut queue, at(0)).unwrap().0, 2);
    queue.push(10, ask(Class::Low, 1), at(0)).unwrap();
    assert_eq!(take_all(&mut queue, at(0)), [3, 10, 4, 5, 6, 7, 8]);
}

#[test]
fn a_class_without_an_eligible_job_leaves_its_turn_to_the_others() {
    let queue = queue_of(limits(), &[(Class::Urgent, 1), (Class::Low, 1)]);
    let choice = queue.next(at(0), |&job| job != 0).unwrap();
    assert_eq!(queue.job(&choice), Some(&1));
    assert!(queue.next(at(0), |_| false).is_none());
}

#[test]
fn each_256_steps_or_two_seconds_raise_a_job_by_a_class_and_three_rises_make_it_overdue() {
    let check = |class, now: Now, expect| {
        let queue = queue_of(limits(), &[(class, 1)]);
        assert_eq!(queue.waiting[0].lane(now), expect);
        assert_eq!(queue.overdue(now), usize::from(expect == Lane::Overdue));
        assert_eq!(queue.waiting(class), 1);
    };
    check(Class::Low, at(255), Lane::Class(Class::Low));
    check(Class::Low, at(256), Lane::Class(Class::Normal));
    check(Class::Low, at(767), Lane::Class(Class::High));
    check(Class::Low, at(768), Lane::Overdue);
    check(Class::High, at(767), Lane::Class(Class::Urgent));
    check(Class::Urgent, at(768), Lane::Overdue);
    let seconds = |seconds| after(Duration::from_secs_f64(seconds));
    check(Class::Normal, seconds(1.9), Lane::Class(Class::Normal));
    check(Class::Normal, seconds(2.0), Lane::Class(Class::High));
    check(Class::Normal, seconds(6.0), Lane::Overdue);
}

#[test]
fn every_second_admission_is_overdue_while_others_wait_and_all_when_none_do() {
    let mut queue = queue_of(limits(), &[(Class::Low, 1); 5]);
    for job in 5..8 {
        queue.push(job, ask(Class::Urgent, 1), at(768)).unwrap();
    }
    assert_eq!(take_all(&mut queue, at(768)), [0, 5, 1, 6, 2, 7, 3, 4]);
}

#[test]
fn a_job_put_back_keeps_its_place_in_its_client_and_goes_last_in_the_overdue_lane() {
    let mut queue = queue_of(limits(), &[(Class::Low, 1), (Class::Low, 1)]);
    let (job, standing) = take(&mut queue, at(0)).unwrap();
    queue.put_back(job, standing, at(100));
    let choice = queue.next(at(100), |_| true).unwrap();
    assert_eq!(queue.job(&choice), Some(&0));
    assert_eq!(queue.overdue(at(768)), 1);
    assert_eq!(take_all(&mut queue, at(868)), [1, 0]);
}

#[test]
fn a_job_that_began_and_is_put_back_is_neither_refused_nor_expired() {
    let mut queue = queue_of(
        Limits {
            reject_at: 1,
            ..limits()
        },
        &[(Class::Low, 1)],
    );
    let (job, mut standing) = take(&mut queue, at(0)).unwrap();
    queue.push(1, ask(Class::Low, 1), at(0)).unwrap();
    standing.begin();
    queue.put_back(job, standing, at(0));
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.push(2, ask(Class::Low, 1), at(0)), Err(2));
    assert_eq!(queue.expire(after(Duration::from_secs(3600))), [1]);
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_job_put_back_before_its_work_began_still_expires() {
    let mut queue = queue_of(limits(), &[(Class::Low, 1)]);
    let (job, standing) = take(&mut queue, at(0)).unwrap();
    queue.put_back(job, standing, at(0));
    assert_eq!(queue.expire(after(Duration::from_secs(3600))), [0]);
}

#[test]
fn inside_a_class_the_client_that_was_served_least_is_next_then_arrival() {
    let jobs = [(Class::Low, 1), (Class::Low, 2), (Class::Low, 1)];
    let mut queue = queue_of(limits(), &jobs);
    queue.charge(Client(1), 5);
    assert_eq!(take_all(&mut queue, at(0)), [1, 0, 2]);
    let unfair = Limits {
        fair: false,
        ..limits()
    };
    let mut queue = queue_of(unfair, &jobs);
    queue.charge(Client(1), 5);
    assert_eq!(take_all(&mut queue, at(0)), [0, 1, 2]);
}

#[test]
fn without_classes_the_order_is_arrival_whatever_the_age_or_client() {
    let plain = Limits {
        by_class: false,
        ..limits()
    };
    let jobs = [(Class::Low, 1), (Class::Urgent, 2), (Class::Normal, 1)];
    let mut queue = queue_of(plain, &jobs);
    queue.charge(Client(1), 5);
    queue.push(3, ask(Class::Urgent, 2), at(900)).unwrap();
    let (job, standing) = take(&mut queue, at(900)).unwrap();
    queue.put_back(job, standing, at(900));
    assert_eq!(queue.overdue(at(900)), 0);
    assert_eq!(take_all(&mut queue, at(900)), [0, 1, 2, 3]);
}

#[test]
fn a_client_back_from_silence_starts_level_with_the_least_served() {
    let mut queue = queue_of(limits(), &[(Class::Low, 1), (Class::Low, 2)]);
    queue.charge(Client(1), 100);
    queue.charge(Client(2), 300);
    for (silent, before, expect) in [(3, 0, 100), (3, 40, 140), (4, 1000, 1100)] {
        // Alone it would keep what it is ahead by; what it is behind by is forgotten.
        queue.push(9, ask(Class::Low, silent), at(0)).unwrap();
        queue.charge(Client(silent), before);
        assert_eq!(queue.clients.time(Client(silent)), expect);
        queue.remove(|&job| job == 9);
    }
    queue.charge(Client(1), 150);
    queue.push(9, ask(Class::Low, 3), at(0)).unwrap();
    queue.push(9, ask(Class::Low, 4), at(0)).unwrap();
    assert_eq!(queue.clients.time(Client(3)), 250);
    assert_eq!(queue.clients.time(Client(4)), 1100);
    queue.remove(|_| true);
    assert_eq!(queue.clients.time(Client(4)), 0);
}

#[test]
fn a_client_stays_active_until_its_last_job_is_done() {
    let mut queue = queue_of(limits(), &[(Class::Low, 1), (Class::Low, 2)]);
    let (_, standing) = take(&mut queue, at(0)).unwrap();
    queue.charge(Client(2), 50);
    queue.push(2, ask(Class::Low, 3), at(0)).unwrap();
    assert_eq!(queue.clients.time(Client(3)), 0);
    assert_eq!(standing.client(), Client(1));
    queue.done(standing);
    queue.remove(|&job| job == 2);
    queue.push(3, ask(Class::Low, 3), at(0)).unwrap();
    assert_eq!(queue.clients.time(Client(3)), 50);
}

#[test]
fn the_threshold_warns_once_per_crossing_by_whatever_way() {
    let mut queue = Queue::new(Limits {
        warn_at: 2,
        reject_at: 4,
        ..limits()
    });
    let push = |queue: &mut Queue<u32>| queue.push(0, ask(Class::Low, 1), at(0));
    assert_eq!(push(&mut queue), Ok(Pushed::Admitted));
    assert_eq!(push(&mut queue), Ok(Pushed::Warned));
    assert_eq!(push(&mut queue), Ok(Pushed::Admitted));
    let (job, standing) = take(&mut queue, at(0)).unwrap();
    assert_eq!(push(&mut queue), Ok(Pushed::Admitted));
    queue.remove(|_| true);
    assert_eq!(push(&mut queue), Ok(Pushed::Admitted));
    queue.put_back(job, standing, at(0));
    assert_eq!(push(&mut queue), Ok(Pushed::Warned));
    assert_eq!(push(&mut queue), Ok(Pushed::Admitted));
    assert_eq!(push(&mut queue), Err(0));
}

#[test]
fn without_sweeping_an_expired_job_leaves_only_in_its_turn_and_never_runs() {
    let mut queue = Queue::new(Limits {
        sweep_expired: false,
        ..limits()
    });
    let expired = Ask {
        deadline: *START,
        ..ask(Class::Low, 1)
    };
    queue.push(0, ask(Class::Low, 1), at(0)).unwrap();
    queue.push(1, expired, at(0)).unwrap();
    queue.push(2, expired, at(0)).unwrap();
    assert!(queue.expire(at(0)).is_empty());
    assert!(queue.next(at(0), |&job| job != 0).is_none());
    assert_eq!(take(&mut queue, at(0)).unwrap().0, 0);
    assert!(queue.next(at(0), |_| true).is_none());
    assert_eq!(queue.expire(at(0)), [1, 2]);
}

#[test]
fn a_choice_outlives_other_changes_but_not_its_job() {
    let mut queue = queue_of(limits(), &[(Class::Low, 1), (Class::Urgent, 1)]);
    let [first, again] = [(), ()].map(|()| queue.next(at(0), |&job| job == 1).unwrap());
    queue.remove(|&job| job == 0);
    queue.push(2, ask(Class::Urgent, 1), at(0)).unwrap();
    let (job, standing) = queue.take(first, at(0)).unwrap();
    assert_eq!((job, standing.class()), (1, Class::Urgent));
    assert_eq!(queue.job(&again), None);
    assert!(queue.take(again, at(0)).is_none());
    assert_eq!(queue.len(), 1);
}

proptest! {
    #[test]
    fn with_all_classes_waiting_each_is_admitted_by_its_weight(admissions in 150..2000u32) {
        let mut queue = queue_of(limits(), &Class::ALL.map(|class| (class, 1)));
        let mut taken = [0; 4];
        for _ in 0..admissions {
            let class = take(&mut queue, at(0)).unwrap().1.class();
            taken[class as usize] += 1;
            queue.push(0, ask(class, 1), at(0)).unwrap();
        }
        for class in Class::ALL {
            let share = f64::from(admissions) * class.weight() as f64 / 15.0;
            let got = f64::from(taken[class as usize]);
            prop_assert!((got - share).abs() <= 0.1 * share, "{} got {}, not {}", class.name(), got, share);
        }
    }

    #[test]
    fn a_client_that_was_silent_is_served_no_more_than_its_share_afterwards(
        silence in 0..100_000u64, costs in prop::collection::vec(1..500u64, 1..200),
    ) {
        let mut queue = queue_of(limits(), &[(Class::Normal, 1)]);
        queue.charge(Client(1), silence);
        let returned = ask(Class::Normal, 2);
        queue.push(0, returned, at(0)).unwrap();
        let mut served = [0u64; 3];
        let longest = costs.iter().copied().max().unwrap_or(0);
        for cost in costs {
            let Client(client) = take(&mut queue, at(0)).unwrap().1.client();
            queue.push(0, ask(Class::Normal, client), at(0)).unwrap();
            queue.charge(Client(client), cost);
            served[usize::try_from(client).unwrap()] += cost;
            prop_assert!(served[1].abs_diff(served[2]) <= longest);
        }
    }
}

#[test]
fn a_job_that_was_lost_while_it_ran_does_not_hold_its_client_among_the_active() {
    let jobs = [(Class::Normal, 1), (Class::Normal, 2), (Class::Normal, 2)];
    let mut queue = queue_of(limits(), &jobs);
    // A panic takes the first one's standing with it.
    assert_eq!(take(&mut queue, at(1)).map(|taken| taken.0), Some(0));
    assert_eq!(take(&mut queue, at(2)).map(|taken| taken.0), Some(1));
    assert_eq!(queue.clients.active(), 2);
    queue.charge(Client(2), 100);
    queue.all_done();
    assert_eq!(queue.clients.active(), 1);
    // A client that arrives now starts at the virtual time of the active ones, not of the client that is gone.
    queue.push(3, ask(Class::Normal, 3), at(3)).unwrap();
    assert_eq!(queue.clients.time(Client(3)), 100);
    assert_eq!(take_all(&mut queue, at(4)), [2, 3]);
    assert_eq!(queue.len(), 0);
}
