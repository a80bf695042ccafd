//! The queue inside a loop with slots, against adversaries: the start bound, the fairness bound, no idle slot.

use super::*;

/// SplitMix64: the adversaries' dice.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }
}

const CHUNK: u64 = 128;

#[derive(Debug, Clone, Copy)]
struct Work {
    name: u64,
    prompt: u64,
    answer: u64,
    resumed: bool,
}

struct Slot {
    work: Work,
    standing: Standing,
    taken_at: u64,
}

/// The loop that the bounds speak of: free slots first, then one rotation, then a step of work for each slot.
struct Machine {
    queue: Queue<Work>,
    slots: Vec<Slot>,
    width: usize,
    step: u64,
    /// Jobs in the order of their first start.
    started: Vec<u64>,
    /// Off: the queue sees no time pass.
    ages: bool,
    pushed: u64,
}

impl Machine {
    fn new(width: usize, limits: Limits) -> Machine {
        Machine {
            queue: Queue::new(limits),
            slots: Vec::new(),
            width,
            step: 0,
            started: Vec::new(),
            ages: true,
            pushed: 0,
        }
    }

    fn now(&self) -> Now {
        at(if self.ages { self.step } else { 0 })
    }

    /// The name of the job, if it was accepted.
    fn push(&mut self, class: Class, client: u64, prompt: u64, answer: u64) -> Option<u64> {
        let name = self.pushed;
        let work = Work {
            name,
            prompt,
            answer,
            resumed: false,
        };
        let ask = ask(class, client);
        self.queue.push(work, ask, self.now()).ok()?;
        self.pushed += 1;
        Some(name)
    }

    fn put_back(&mut self, victim: usize) {
        let Slot {
            work, mut standing, ..
        } = self.slots.swap_remove(victim);
        standing.begin();
        let work = Work {
            resumed: true,
            ..work
        };
        self.queue.put_back(work, standing, self.now());
    }

    fn take(&mut self, choice: Choice) {
        let (work, standing) = self.queue.take(choice, self.now()).unwrap();
        if !work.resumed {
            self.started.push(work.name);
        }
        self.slots.push(Slot {
            work,
            standing,
            taken_at: self.step,
        });
    }

    fn admit(&mut self) {
        while self.slots.len() < self.width
            && let Some(choice) = self.queue.next(self.now(), |_| true)
        {
            self.take(choice);
        }
        if self.slots.len() < self.width {
            assert!(self.queue.is_empty(), "a slot idles while a job waits");
            return;
        }
        let running: Vec<Running<'_>> = (self.slots.iter())
            .map(|slot| Running {
                standing: &slot.standing,
                served: self.step - slot.taken_at,
                resumed: slot.work.resumed,
            })
            .collect();
        if let Some(rotation) = self.queue.rotate(self.now(), &running, |_| true) {
            self.put_back(rotation.victim);
            self.take(rotation.choice);
        }
    }

    /// Serves each slot and ends the step. Gives what each client was served.
    fn work(&mut self) -> Vec<(u64, u64)> {
        let mut served = Vec::new();
        for slot in &mut self.slots {
            let prefill = slot.work.prompt.min(CHUNK);
            slot.work.prompt -= prefill;
            let cost = if prefill > 0 {
                prefill
            } else {
                slot.work.answer -= 1;
                2
            };
            self.queue.charge(slot.standing.client, cost);
            served.push((slot.standing.client.0, cost));
        }
        for slot in self
            .slots
            .extract_if(.., |s| s.work.prompt + s.work.answer == 0)
        {
            self.queue.done(slot.standing);
        }
        self.step += 1;
        served
    }
}

/// The bound in the head of the module.
fn start_bound(slots: u64, queue: u64) -> u64 {
    3 * 256 + (2 * queue).div_ceil(slots) * (256 + slots - 1)
}

/// What the others do while the low job waits.
#[derive(Debug, Clone, Copy)]
struct Adversary {
    /// Tokens that each job generates, from the one to less than the other.
    answers: (u64, u64),
    /// Longest prompt.
    prompt: u64,
    /// 0: each job is a new client's.
    clients: u64,
    only_urgent: bool,
    /// One in so many steps brings arrivals, which then fill the queue.
    pause: u64,
    /// Nobody waits until low jobs fill the queue at once, the one that is watched last.
    crowd: bool,
    /// Every job that was put back is cancelled, which makes room for new ones.
    fickle: bool,
    /// So many times all slots end at once, 255 steps after each other.
    ends: u64,
    /// One in so many steps preempts a slot for lack of cells; 0: never.
    preempts: u64,
    /// Steps before the low job.
    warm_up: u64,
}

impl Adversary {
    fn random(dice: &mut Dice) -> Adversary {
        let answers = [(1, 2000), (1, 20), (60, 300), (255, 256), (1999, 2000)];
        Adversary {
            answers: answers[usize::try_from(dice.below(5)).unwrap()],
            prompt: 2048 * dice.below(2),
            clients: dice.below(2) * dice.below(20),
            only_urgent: dice.one_in(2),
            pause: 1 + dice.below(2) * dice.below(300),
            crowd: dice.one_in(2),
            fickle: dice.one_in(2),
            ends: dice.below(2) * dice.below(9),
            preempts: dice.below(2) * dice.below(500),
            warm_up: dice.below(1500),
        }
    }

    fn send(&self, machine: &mut Machine, dice: &mut Dice) {
        loop {
            let class = match dice.below(3) {
                0 if !self.only_urgent => Class::High,
                _ => Class::Urgent,
            };
            let client = match self.clients {
                0 => machine.pushed + 1000,
                clients => dice.below(clients),
            };
            let prompt = dice.below(self.prompt + 1);
            let (from, below) = self.answers;
            let answer = from + dice.below(below - from);
            if machine.push(class, client, prompt, answer).is_none() {
                return;
            }
        }
    }
}

/// Steps that a low job waits for its first start.
fn low_job_waits(slots: u64, queue: u64, adversary: Adversary, seed: u64) -> u64 {
    let queue = usize::try_from(queue).unwrap();
    let limits = Limits {
        reject_at: queue,
        ..limits()
    };
    let mut machine = Machine::new(usize::try_from(slots).unwrap(), limits);
    let mut dice = Dice(seed);
    let mut low = None;
    loop {
        if low.is_none() && machine.step >= adversary.warm_up {
            while adversary.crowd && machine.queue.len() + 1 < queue {
                machine.push(Class::Low, dice.below(3), 0, 1 + dice.below(2000));
            }
            let name = machine.push(Class::Low, 1 << 40, 100, 500);
            low = name.map(|name| (name, machine.step));
        }
        let held_back = adversary.crowd && low.is_none() && machine.slots.len() == machine.width;
        if !held_back && dice.one_in(adversary.pause) {
            adversary.send(&mut machine, &mut dice);
        }
        if adversary.preempts > 0 && dice.one_in(adversary.preempts) && !machine.slots.is_empty() {
            let victim = dice.below(machine.slots.len() as u64);
            machine.put_back(usize::try_from(victim).unwrap());
        }
        if adversary.fickle {
            machine.queue.remove(|work| work.resumed);
        }
        if let Some((_, since)) = low
            && let Some(overdue) = (machine.step + 1).checked_sub(since + 3 * 256)
            && overdue % 255 == 0
            && overdue / 255 < adversary.ends
        {
            for slot in machine.slots.drain(..) {
                machine.queue.done(slot.standing);
            }
        }
        machine.admit();
        if let Some((name, since)) = low
            && (machine.started.contains(&name) || machine.step > since + 100_000)
        {
            return machine.step - since;
        }
        machine.started.clear();
        machine.work();
    }
}

#[test]
fn clients_that_cancel_what_is_rotated_out_do_not_keep_overdue_jobs_waiting() {
    let adversary = Adversary {
        answers: (1999, 2000),
        prompt: 2048,
        clients: 0,
        only_urgent: true,
        pause: 1,
        crowd: true,
        fickle: true,
        ends: 0,
        preempts: 0,
        warm_up: 700,
    };
    for slots in 1..=8 {
        let waited = low_job_waits(slots, 20, adversary, 1);
        assert!(waited <= start_bound(slots, 20), "waited {waited} steps");
    }
}

/// A client that always has jobs waiting, with prompts and answers of at most so many tokens.
#[derive(Debug, Clone, Copy)]
struct Greedy {
    prompt: u64,
    answer: u64,
    backlog: usize,
}

fn greedy() -> impl Strategy<Value = Greedy> {
    let prompt = prop_oneof![Just(5), 0..4000u64];
    let answer = prop_oneof![Just(5), 1..2000u64];
    (prompt, answer, 1..40usize).prop_map(|(prompt, answer, backlog)| Greedy {
        prompt,
        answer,
        backlog,
    })
}

/// The largest difference between what two clients were served over any interval. No job ages.
fn unfairness(slots: usize, clients: [Greedy; 2], steps: u64, seed: u64) -> i64 {
    let mut machine = Machine::new(slots, limits());
    machine.ages = false;
    let mut dice = Dice(seed);
    let (mut ahead, mut highest, mut lowest) = (0, 0, 0);
    for _ in 0..steps {
        for (client, greedy) in (0..).zip(clients) {
            let of_client = |w: &&Waiting<Work>| w.standing.client == Client(client);
            let waiting = machine.queue.waiting.iter().filter(of_client).count();
            for _ in waiting..slots + greedy.backlog {
                let prompt = dice.below(greedy.prompt + 1);
                let answer = 1 + dice.below(greedy.answer);
                machine.push(Class::Normal, client, prompt, answer);
            }
        }
        machine.admit();
        for (client, cost) in machine.work() {
            let cost = i64::try_from(cost).unwrap();
            ahead += if client == 0 { cost } else { -cost };
        }
        highest = highest.max(ahead);
        lowest = lowest.min(ahead);
    }
    highest - lowest
}

/// Eight jobs of a favoured client run; three and the last one, of another, wait as long. Just before these are overdue
/// the eight are put back for want of cells, and taken again at once.
#[test]
fn slots_that_are_due_at_once_yield_one_by_one_past_the_whole_rounds() {
    let favoured = 1;
    let limits = Limits {
        reject_at: 4,
        ..limits()
    };
    let mut machine = Machine::new(8, limits);
    while machine.slots.len() < 8 {
        machine.push(Class::Urgent, favoured, 0, 5000);
        machine.admit();
    }
    let last = [2, 2, 2, 2].map(|client| machine.push(Class::Urgent, client, 0, 5000).unwrap())[3];
    machine.queue.charge(Client(2), 1 << 40);
    while machine.step < 3 * 256 - 1 {
        machine.admit();
        machine.work();
    }
    while !machine.slots.is_empty() {
        machine.put_back(0);
    }
    while !machine.started.contains(&last) {
        machine.admit();
        machine.work();
    }
    let waited = machine.step - 1;
    assert_eq!(waited, 3 * 256 + 256 + 2);
    assert!(waited <= start_bound(8, 4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_low_job_starts_within_the_bound_whatever_else_arrives(
        slots in 1..=8u64, queue in 1..=50u64, seed in any::<u64>(),
    ) {
        let adversary = Adversary::random(&mut Dice(seed));
        let waited = low_job_waits(slots, queue, adversary, seed);
        let bound = start_bound(slots, queue);
        prop_assert!(waited <= bound, "{} steps, not {}: {:?}", waited, bound, adversary);
    }

    #[test]
    fn two_clients_that_always_wait_are_served_alike_up_to_what_the_pool_holds(
        slots in 1..=8usize, clients in [greedy(), greedy()], steps in 1..4000u64, seed in any::<u64>(),
    ) {
        let prompt = clients.map(|c| c.prompt).into_iter().max().unwrap();
        let job = clients.map(|c| c.prompt + c.answer).into_iter().max().unwrap();
        let pool = slots as u64 * job;
        let unfairness = unfairness(slots, clients, steps, seed);
        prop_assert!(unfairness <= 2 * prompt.max(2 * pool) as i64, "{} apart", unfairness);
    }
}
