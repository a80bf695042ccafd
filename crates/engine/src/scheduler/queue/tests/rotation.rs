//! Who yields to whom.

use super::*;

/// A running job: class, client, steps served, whether it was put back before.
type Runs = (Class, u64, u64, bool);

/// The victim's index and the job that gets its slot. `charges`: virtual times of clients.
fn rotated(
    limits: Limits,
    running: &[Runs],
    waiting: &[(Class, u64)],
    charges: &[(u64, u64)],
    age: u64,
) -> Option<(usize, u32)> {
    let jobs: Vec<_> = running.iter().map(|&(c, client, ..)| (c, client)).collect();
    let mut queue = queue_of(limits, &jobs);
    let standings: Vec<Standing> = (0..)
        .zip(running)
        .map(|(name, _)| {
            let choice = queue.next(at(0), |&job| job == name).unwrap();
            queue.take(choice, at(0)).unwrap().1
        })
        .collect();
    for (job, &(class, client)) in (0..).zip(waiting) {
        queue.push(job, ask(class, client), at(0)).unwrap();
    }
    for &(client, cost) in charges {
        queue.charge(Client(client), cost);
    }
    let running: Vec<_> = (standings.iter().zip(running))
        .map(|(standing, &(_, _, served, resumed))| Running {
            standing,
            served,
            resumed,
        })
        .collect();
    let rotation = queue.rotate(at(age), &running, |_| true)?;
    Some((rotation.victim, *queue.job(&rotation.choice).unwrap()))
}

#[test]
fn an_overdue_job_gets_the_slot_that_served_longest_from_256_steps_on() {
    let check = |served: [u64; 2], age, expect| {
        let running = served.map(|served| (Class::High, 1, served, true));
        let waiting = [(Class::High, 1), (Class::Urgent, 1)];
        let got = rotated(limits(), &running, &waiting, &[], age);
        assert_eq!(got, expect);
    };
    check([256, 300], 768, Some((1, 0)));
    check([256, 255], 768, Some((0, 0)));
    check([255, 255], 768, None);
    check([999, 999], 767, None);
}

#[test]
fn a_client_without_a_slot_gets_one_of_a_client_with_several_from_16_steps_on() {
    let check = |running: &[Runs], ahead, age, expect| {
        let waiting = [(Class::Normal, 1), (Class::Normal, 2)];
        let got = rotated(limits(), running, &waiting, &[(2, ahead)], age);
        assert_eq!(got, expect);
    };
    let (low, normal, high) = (Class::Low, Class::Normal, Class::High);
    let of_one = |class, served| (class, 1, served, true);
    check(
        &[of_one(normal, 16), of_one(normal, 16)],
        0,
        0,
        Some((1, 1)),
    );
    check(&[of_one(low, 16), of_one(normal, 16)], 0, 0, Some((0, 1)));
    check(&[of_one(normal, 15), of_one(normal, 15)], 0, 0, None);
    check(&[of_one(high, 99), of_one(high, 99)], 0, 0, None);
    check(&[of_one(normal, 99), (normal, 2, 99, true)], 0, 0, None);
    check(&[of_one(normal, 99), (normal, 3, 99, true)], 0, 0, None);
    check(
        &[of_one(normal, 99), of_one(normal, 99)],
        511,
        0,
        Some((1, 1)),
    );
    check(&[of_one(normal, 99), of_one(normal, 99)], 512, 0, None);
    // Overdue jobs of the same client do not keep it out.
    check(
        &[of_one(normal, 99), of_one(normal, 99)],
        0,
        768,
        Some((1, 1)),
    );
}

#[test]
fn an_urgent_job_gets_the_slot_of_the_lowest_class_then_of_the_least_served_then_of_the_youngest() {
    let check = |running: &[Runs], expect: Option<usize>| {
        let waiting = [(Class::High, 1), (Class::Urgent, 2), (Class::Urgent, 1)];
        let got = rotated(limits(), running, &waiting, &[(2, 9)], 0);
        assert_eq!(got, expect.map(|victim| (victim, 2)));
    };
    let high = (Class::High, 1, 999, false);
    let urgent = (Class::Urgent, 3, 999, false);
    check(&[], None);
    check(&[high, urgent], None);
    check(&[high, (Class::Normal, 4, 15, false)], None);
    check(&[high, (Class::Normal, 1, 16, false)], Some(1));
    check(
        &[(Class::Low, 1, 90, false), (Class::Normal, 1, 16, false)],
        Some(0),
    );
    check(
        &[(Class::Low, 1, 90, false), (Class::Low, 1, 80, false)],
        Some(1),
    );
    check(&[(Class::Low, 1, 80, false); 2], Some(1));
    check(&[(Class::Low, 1, 255, true)], None);
    check(&[(Class::Low, 1, 256, true)], Some(0));
}

#[test]
fn a_client_more_than_512_behind_gets_the_slot_of_the_client_furthest_ahead() {
    let normal = |client, served| (Class::Normal, client, served, false);
    let check = |running: &[Runs], waiting: &[(Class, u64)], expect| {
        let charges = [(1, 2000), (2, 1000), (3, 488), (4, 487)];
        let got = rotated(limits(), running, waiting, &charges, 0);
        assert_eq!(got, expect);
    };
    check(&[normal(2, 64)], &[(Class::Normal, 3)], None);
    check(&[normal(2, 64)], &[(Class::Normal, 4)], Some((0, 0)));
    check(&[normal(2, 63)], &[(Class::Normal, 4)], None);
    check(&[normal(2, 64)], &[(Class::Low, 4)], None);
    check(&[normal(2, 64)], &[(Class::High, 4)], Some((0, 0)));
    let both = [(Class::Normal, 3), (Class::Normal, 4)];
    check(&[normal(2, 64), normal(1, 64)], &both, Some((1, 1)));
    check(&[normal(2, 64), normal(1, 63)], &both, Some((0, 1)));
    check(&[(Class::Normal, 2, 255, true)], &both, None);
    check(&[(Class::Normal, 2, 256, true)], &both, Some((0, 1)));
}

#[test]
fn a_client_too_low_for_the_one_furthest_ahead_gets_the_slot_of_the_next() {
    let running = [(Class::High, 1, 64, false), (Class::Low, 2, 64, false)];
    let charges = [(1, 2000), (2, 1000)];
    let got = rotated(limits(), &running, &[(Class::Normal, 3)], &charges, 0);
    assert_eq!(got, Some((1, 0)));
}

#[test]
fn no_client_is_rotated_for_itself_nor_any_while_fairness_or_classes_are_off() {
    let waiting = [(Class::Normal, 1), (Class::Normal, 2)];
    let check = |limits, expect| {
        let running = [(Class::Normal, 1, 999, false)];
        let got = rotated(limits, &running, &waiting, &[(1, 2000)], 0);
        assert_eq!(got, expect);
    };
    check(limits(), Some((0, 1)));
    let unfair = Limits {
        fair: false,
        ..limits()
    };
    check(unfair, None);
    let plain = Limits {
        by_class: false,
        ..limits()
    };
    check(plain, None);
}

#[test]
fn an_urgent_job_waits_with_rotation_while_it_is_the_overdue_lanes_turn() {
    let mut queue = queue_of(limits(), &[(Class::Low, 1); 4]);
    let (_, low) = take(&mut queue, at(0)).unwrap();
    queue.push(4, ask(Class::Urgent, 1), at(768)).unwrap();
    let victim = Running {
        standing: &low,
        served: 16,
        resumed: false,
    };
    assert!(queue.rotate(at(768), &[victim], |_| true).is_none());
    assert_eq!(take(&mut queue, at(768)).unwrap().0, 1);
    let rotation = queue.rotate(at(768), &[victim], |_| true).unwrap();
    assert_eq!(queue.job(&rotation.choice), Some(&4));
    queue.put_back(0, low, at(768));
    assert_eq!(queue.take(rotation.choice, at(768)).unwrap().0, 4);
    // That was the others' turn.
    assert_eq!(take(&mut queue, at(768)).unwrap().0, 2);
}

#[test]
fn rotation_spends_no_credit_of_a_class() {
    let mut queue = queue_of(limits(), &[(Class::Low, 1); 3]);
    let (_, low) = take(&mut queue, at(0)).unwrap();
    for job in 3..6 {
        queue.push(job, ask(Class::Urgent, 1), at(0)).unwrap();
    }
    let victim = Running {
        standing: &low,
        served: 16,
        resumed: false,
    };
    for job in 3..5 {
        let rotation = queue.rotate(at(0), &[victim], |_| true).unwrap();
        assert_eq!(queue.take(rotation.choice, at(0)).unwrap().0, job);
    }
    assert_eq!(take(&mut queue, at(0)).unwrap().0, 5);
}
