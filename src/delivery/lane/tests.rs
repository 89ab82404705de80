use jiff::SignedDuration;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn item(name: &str, subject: &str) -> Item {
    Item {
        notice: NoticeKey { namespace: "vision".to_owned(), name: name.to_owned() },
        subject: Box::from(subject),
        recorded: at(0),
        attempts: 0,
        not_before: None,
        in_doubt: false,
        alone: false,
        batch: None,
    }
}

fn rules(rate_per_minute: Option<u32>, concurrency: usize) -> Rules {
    let limits = Limits {
        rates: &[],
        concurrency,
        throttle_pause: Duration::from_mins(10),
        idempotent: true,
        digest: false,
        most_attempts: None,
    };
    Rules { limits, rate_per_minute, max_age: Duration::from_hours(24) }
}

/// A lane with a budget of its own.
struct Trial {
    lane: Lane,
    budget: Budget,
}

impl Trial {
    fn next(&mut self, now: Timestamp, rules: &Rules) -> Next {
        self.lane.next(now, rules, &mut self.budget)
    }

    /// What must be sent now.
    fn parcel(&mut self, now: Timestamp, rules: &Rules) -> Parcel {
        match self.next(now, rules) {
            Next::Send(parcel) => parcel,
            other => panic!("expected something to send, got {other:?}"),
        }
    }

    /// The one item that must be sent now.
    fn sent(&mut self, now: Timestamp, rules: &Rules) -> Item {
        let parcel = self.parcel(now, rules);
        assert!(!parcel.is_digest(), "{parcel:?}");
        parcel.items.into_iter().next().unwrap()
    }

    fn ended(&mut self, parcel: Parcel, outcome: &Outcome, now: Timestamp, rules: &Rules) -> Vec<(Item, Step)> {
        self.lane.finished(parcel, outcome, now, &rules.limits, &mut self.budget)
    }

    fn finished(&mut self, item: Item, outcome: &Outcome, now: Timestamp, rules: &Rules) -> Step {
        self.ended(Parcel { items: vec![item] }, outcome, now, rules).remove(0).1
    }
}

fn lane(items: &[(&str, &str)]) -> Trial {
    let mut lane = Lane::default();
    for (name, subject) in items {
        lane.push(item(name, subject));
    }
    Trial { lane, budget: Budget::default() }
}

fn name(parcel: &Parcel) -> &str {
    &parcel.items[0].notice.name
}

fn transient() -> Outcome {
    Outcome::Transient { code: "503".to_owned(), message: "busy".to_owned() }
}

fn delivered() -> Outcome {
    Outcome::Delivered { code: "0".to_owned() }
}

#[test]
fn notices_of_one_subject_go_out_in_order_and_those_of_others_side_by_side() {
    let mut lane = lane(&[("a1", "a"), ("a2", "a"), ("b1", "b")]);
    let rules = rules(None, 8);
    let first = lane.sent(at(0), &rules);
    assert_eq!(first.notice.name, "a1");
    assert_eq!(lane.sent(at(0), &rules).notice.name, "b1");
    assert_eq!(lane.next(at(0), &rules), Next::Wait(None), "a2 waits for a1");
    assert_eq!(lane.finished(first, &delivered(), at(1), &rules), Step::Delivered);
    assert_eq!(lane.sent(at(1), &rules).notice.name, "a2");
}

#[test]
fn a_failed_notice_is_tried_again_before_the_later_ones_of_its_subject() {
    let mut lane = lane(&[("a1", "a"), ("a2", "a")]);
    let rules = rules(None, 8);
    let first = lane.sent(at(0), &rules);
    let Step::Retry(next) = lane.finished(first, &transient(), at(0), &rules) else { panic!() };
    assert!(next > at(0) && next <= at(2), "{next}");
    assert!(matches!(lane.next(at(0), &rules), Next::Wait(Some(_))));
    let again = lane.sent(at(2), &rules);
    assert_eq!((again.notice.name.as_str(), again.attempts), ("a1", 1));
}

#[test]
fn one_message_that_always_fails_does_not_hold_up_the_others() {
    let mut lane = lane(&[("poison", "p"), ("b1", "b"), ("c1", "c")]);
    let rules = rules(None, 1);
    let poison = lane.sent(at(0), &rules);
    lane.finished(poison, &transient(), at(0), &rules);
    // After the lane's pause, the next subject's turn comes once the poisoned one waits for its own time.
    let mut now = at(0);
    let mut names = Vec::new();
    for _ in 0..40 {
        now += SignedDuration::from_millis(500);
        if let Next::Send(parcel) = lane.next(now, &rules) {
            names.push(name(&parcel).to_owned());
            let outcome = if name(&parcel) == "poison" { transient() } else { delivered() };
            lane.ended(parcel, &outcome, now, &rules);
        }
    }
    assert!(names.contains(&"b1".to_owned()) && names.contains(&"c1".to_owned()), "{names:?}");
    assert_eq!(lane.lane.len(), 1, "only the poisoned one is left");
}

#[test]
fn several_messages_that_always_fail_do_not_hold_up_the_others_and_keep_the_order_of_their_subjects() {
    let mut lane = lane(&[("poison1", "p"), ("poison2", "q"), ("p2", "p"), ("b1", "b"), ("c1", "c")]);
    let rules = rules(None, 1);
    let (mut now, mut names) = (at(0), Vec::new());
    while now < at(60) {
        now += SignedDuration::from_millis(500);
        if let Next::Send(parcel) = lane.next(now, &rules) {
            names.push(name(&parcel).to_owned());
            let outcome = if name(&parcel).starts_with("poison") { transient() } else { delivered() };
            lane.ended(parcel, &outcome, now, &rules);
        }
    }
    assert!(names.contains(&"b1".to_owned()) && names.contains(&"c1".to_owned()), "{names:?}");
    assert!(!names.contains(&"p2".to_owned()), "it waits for poison1: {names:?}");
    assert_eq!(lane.lane.len(), 3);
}

#[test]
fn a_target_that_comes_back_gets_everything_at_once() {
    let mut lane = lane(&[("a", "a"), ("b", "b"), ("c", "c")]);
    let rules = rules(None, 8);
    let mut now = at(0);
    // Down for 30 seconds: whatever is tried fails.
    while now < at(30) {
        match lane.next(now, &rules) {
            Next::Send(parcel) => {
                lane.ended(parcel, &transient(), now, &rules);
            }
            Next::Wait(Some(until)) => now = until,
            other => panic!("{other:?}"),
        }
    }
    let mut got = 0;
    while got < 3 {
        match lane.next(now, &rules) {
            Next::Send(parcel) => {
                got += 1;
                lane.ended(parcel, &delivered(), now, &rules);
            }
            Next::Wait(Some(until)) => now = until,
            other => panic!("{other:?}"),
        }
    }
    assert!(now < at(90), "everything arrived by {now}");
    assert!(lane.lane.is_idle());
}

#[test]
fn the_budget_is_never_exceeded_in_any_minute() {
    let names: Vec<String> = (0..60).map(|n| format!("n{n}")).collect();
    let mut lane = lane(&names.iter().map(|name| (name.as_str(), name.as_str())).collect::<Vec<_>>());
    let rules = rules(Some(20), 1);
    let (mut now, mut times) = (at(0), Vec::new());
    while times.len() < 60 {
        match lane.next(now, &rules) {
            Next::Send(parcel) => {
                times.push(now);
                lane.ended(parcel, &delivered(), now, &rules);
                now += SignedDuration::from_millis(10);
            }
            Next::Wait(Some(until)) => now = until,
            other => panic!("{other:?}"),
        }
    }
    for (first, window) in times.iter().zip(times.iter().skip(20)) {
        assert!(window.duration_since(*first) >= SignedDuration::from_secs(60), "21 messages within a minute");
    }
}

#[test]
fn attempts_before_a_restart_count_against_the_budget() {
    let mut lane = lane(&[("a", "a")]);
    for second in 0..20 {
        lane.budget.restore(at(second), 1);
    }
    assert_eq!(lane.next(at(30), &rules(Some(20), 1)), Next::Wait(Some(at(60))));
    assert!(matches!(lane.next(at(60), &rules(Some(20), 1)), Next::Send(_)));
}

#[test]
fn a_throttled_lane_is_silent_for_as_long_as_it_was_told() {
    for (retry_after, until) in [(None, at(600)), (Some(Duration::from_secs(7)), at(7))] {
        let mut lane = lane(&[("a", "a"), ("b", "b")]);
        let rules = rules(None, 1);
        let item = lane.sent(at(0), &rules);
        let throttled = Outcome::Throttled { code: "130101".to_owned(), message: String::new(), retry_after };
        assert_eq!(lane.finished(item, &throttled, at(0), &rules), Step::Retry(until));
        assert_eq!(lane.budget.silent_until(at(1)), Some(until));
        assert_eq!(lane.next(at(1), &rules), Next::Wait(Some(until)));
        assert_eq!(lane.sent(until, &rules).notice.name, "a");
        assert_eq!(lane.budget.silent_until(until), None);
    }
}

#[test]
fn a_refused_message_fails_at_once_and_the_lane_goes_on() {
    let mut lane = lane(&[("a", "a"), ("b", "b")]);
    let rules = rules(None, 1);
    let item = lane.sent(at(0), &rules);
    let refused = Outcome::Permanent { code: "310000".to_owned(), message: "sign not match".to_owned() };
    assert_eq!(lane.finished(item, &refused, at(0), &rules), Step::Failed);
    assert_eq!(lane.sent(at(0), &rules).notice.name, "b");
}

#[test]
fn an_attempt_in_doubt_is_repeated_freely_only_where_the_receiver_knows_repeats() {
    let in_doubt = Outcome::Ambiguous { code: "Timeout".to_owned(), message: String::new() };
    for (idempotent, second) in [(true, "retry"), (false, "failed")] {
        let mut lane = lane(&[("a", "a")]);
        let mut rules = rules(None, 1);
        rules.limits.idempotent = idempotent;
        let item = lane.sent(at(0), &rules);
        assert!(matches!(lane.finished(item, &in_doubt, at(0), &rules), Step::Retry(_)));
        let item = lane.sent(at(10), &rules);
        let step = lane.finished(item, &in_doubt, at(10), &rules);
        assert_eq!(matches!(step, Step::Failed), second == "failed", "{step:?}");
    }
}

#[test]
fn what_is_too_old_is_given_up_even_while_the_lane_is_silent() {
    let mut lane = lane(&[("a", "a")]);
    let mut rules = rules(None, 1);
    rules.max_age = Duration::from_secs(10);
    let item = lane.sent(at(0), &rules);
    let throttled = Outcome::Throttled { code: "429".to_owned(), message: String::new(), retry_after: None };
    lane.finished(item, &throttled, at(0), &rules);
    assert_eq!(lane.next(at(1), &rules), Next::Wait(Some(at(10))), "woken at the item's end, not at the throttle's");
    assert!(matches!(lane.next(at(10), &rules), Next::Expired(_)));
}

#[test]
fn a_mended_target_is_tried_at_once() {
    let mut lane = lane(&[("a", "a")]);
    let rules = rules(None, 1);
    for second in 0..5 {
        if let Next::Send(parcel) = lane.next(at(second * 20), &rules) {
            lane.ended(parcel, &transient(), at(second * 20), &rules);
        }
    }
    assert!(matches!(lane.next(at(81), &rules), Next::Wait(Some(_))));
    lane.lane.mended();
    assert!(matches!(lane.next(at(81), &rules), Next::Send(_)));
}

/// A robot's: twenty a minute, digests.
fn robot() -> Rules {
    let mut rules = rules(None, 1);
    rules.limits.rates = const { &[Rate::per_minute(20)] };
    rules.limits.digest = true;
    rules
}

fn many(count: usize) -> Trial {
    let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
    lane(&names.iter().map(|name| (name.as_str(), name.as_str())).collect::<Vec<_>>())
}

#[test]
fn more_than_a_minute_can_carry_goes_out_as_one_digest_and_no_more_does_not() {
    let mut lane = many(20);
    assert!(!lane.parcel(at(0), &robot()).is_digest(), "twenty fit into a minute");
    let mut lane = many(21);
    let digest = lane.parcel(at(0), &robot());
    assert_eq!(digest.items.len(), 21);
    assert_eq!(lane.next(at(0), &robot()), Next::Wait(None), "it is on its way");
    let steps = lane.ended(digest, &delivered(), at(0), &robot());
    assert!(steps.iter().all(|(_, step)| *step == Step::Delivered));
    assert!(lane.lane.is_idle());
}

#[test]
fn sixty_events_in_a_minute_take_no_more_than_twenty_posts_in_any_minute() {
    let mut lane = many(0);
    let (mut posts, mut told) = (Vec::new(), 0);
    for tenth in 0..2000_i64 {
        let now = at(0) + SignedDuration::from_millis(tenth * 100);
        if tenth % 10 == 0 && tenth < 600 {
            lane.lane.push(item(&format!("n{tenth}"), &format!("n{tenth}")));
        }
        if let Next::Send(parcel) = lane.next(now, &robot()) {
            posts.push(now);
            told += parcel.items.len();
            lane.ended(parcel, &delivered(), now, &robot());
        }
    }
    assert_eq!(told, 60);
    for (first, later) in posts.iter().zip(posts.iter().skip(20)) {
        assert!(later.duration_since(*first) >= SignedDuration::from_secs(60), "21 posts within a minute");
    }
    assert!(posts.len() < 60 && *posts.last().unwrap() < at(80), "{} posts until {:?}", posts.len(), posts.last());
}

#[test]
fn a_digest_without_a_reply_is_repeated_as_exactly_the_same_one() {
    let mut lane = many(30);
    let in_doubt = Outcome::Ambiguous { code: "Timeout".to_owned(), message: String::new() };
    let first = lane.parcel(at(0), &robot());
    lane.ended(first.clone(), &in_doubt, at(0), &robot());
    for n in 0..30 {
        lane.lane.push(item(&format!("later{n}"), &format!("later{n}")));
    }
    let names = |parcel: &Parcel| -> Vec<String> { parcel.items.iter().map(|item| item.notice.name.clone()).collect() };
    let mut found = Vec::new();
    for second in 1..100 {
        if let Next::Send(parcel) = lane.next(at(second), &robot()) {
            found.push(names(&parcel));
            lane.ended(parcel, &delivered(), at(second), &robot());
        }
    }
    assert!(found.contains(&names(&first)), "{found:?}");
    assert_eq!(found.iter().map(Vec::len).sum::<usize>(), 60, "each once more, and none twice");
}

#[test]
fn a_refused_digest_is_told_one_by_one_so_that_only_what_is_to_blame_fails() {
    let mut lane = many(25);
    let refused = Outcome::Permanent { code: "430104".to_owned(), message: "unsafe content".to_owned() };
    let digest = lane.parcel(at(0), &robot());
    let steps = lane.ended(digest, &refused, at(0), &robot());
    assert!(steps.iter().all(|(_, step)| matches!(step, Step::Retry(_))));
    let (mut now, mut failed, mut told) = (at(0), 0, 0);
    while told + failed < 25 {
        match lane.next(now, &robot()) {
            Next::Send(parcel) => {
                let outcome = if name(&parcel) == "n7" { refused.clone() } else { delivered() };
                for (_, step) in lane.ended(parcel, &outcome, now, &robot()) {
                    if step == Step::Failed { failed += 1 } else { told += 1 }
                }
            }
            Next::Wait(Some(until)) => now = until,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((told, failed), (24, 1));
}

#[test]
fn a_call_is_made_at_most_twice_but_a_throttled_one_rang_nobody() {
    let mut rules = rules(None, 1);
    rules.limits.most_attempts = Some(2);
    let mut lane = lane(&[("a", "a")]);
    let item = lane.sent(at(0), &rules);
    assert!(matches!(lane.finished(item, &transient(), at(0), &rules), Step::Retry(_)));
    let item = lane.sent(at(10), &rules);
    let throttled = Outcome::Throttled { code: "x".to_owned(), message: String::new(), retry_after: None };
    assert!(matches!(lane.finished(item, &throttled, at(10), &rules), Step::Retry(_)));
    let item = lane.sent(at(700), &rules);
    assert_eq!(lane.finished(item, &transient(), at(700), &rules), Step::Failed);
}

#[test]
fn silence_grows_while_throttling_goes_on_without_naming_a_time() {
    let mut rules = rules(None, 1);
    rules.limits.throttle_pause = Duration::from_secs(2);
    let mut lane = lane(&[("a", "a")]);
    let throttled = Outcome::Throttled { code: "11232".to_owned(), message: String::new(), retry_after: None };
    let (mut now, mut pauses) = (at(0), Vec::new());
    for _ in 0..12 {
        let item = lane.sent(now, &rules);
        let Step::Retry(until) = lane.finished(item, &throttled, now, &rules) else { panic!() };
        pauses.push(until.duration_since(now).as_secs());
        now = until;
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
}

#[test]
fn two_targets_of_one_robot_share_its_budget() {
    let (mut one, mut other) = (many(12), many(12));
    let (mut sent, rules) = (0, robot());
    for _ in 0..24 {
        for lane in [&mut one.lane, &mut other.lane] {
            // Both spend the first one's budget.
            if let Next::Send(parcel) = lane.next(at(0), &rules, &mut one.budget) {
                sent += 1;
                lane.finished(parcel, &delivered(), at(0), &rules.limits, &mut one.budget);
            }
        }
    }
    assert_eq!(sent, 20);
}
