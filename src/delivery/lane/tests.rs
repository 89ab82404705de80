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

fn lane(items: &[(&str, &str)]) -> Lane {
    let mut lane = Lane::default();
    for (name, subject) in items {
        lane.push(item(name, subject));
    }
    lane
}

fn sent(lane: &mut Lane, now: Timestamp, rules: &Rules) -> Item {
    match lane.next(now, rules) {
        Next::Send(item) => item,
        other => panic!("expected something to send, got {other:?}"),
    }
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
    let first = sent(&mut lane, at(0), &rules);
    assert_eq!(first.notice.name, "a1");
    assert_eq!(sent(&mut lane, at(0), &rules).notice.name, "b1");
    assert_eq!(lane.next(at(0), &rules), Next::Wait(None), "a2 waits for a1");
    assert_eq!(lane.finished(first, &delivered(), at(1), &rules.limits), Step::Delivered);
    assert_eq!(sent(&mut lane, at(1), &rules).notice.name, "a2");
}

#[test]
fn a_failed_notice_is_tried_again_before_the_later_ones_of_its_subject() {
    let mut lane = lane(&[("a1", "a"), ("a2", "a")]);
    let rules = rules(None, 8);
    let first = sent(&mut lane, at(0), &rules);
    let Step::Retry(next) = lane.finished(first, &transient(), at(0), &rules.limits) else { panic!() };
    assert!(next > at(0) && next <= at(2), "{next}");
    assert!(matches!(lane.next(at(0), &rules), Next::Wait(Some(_))));
    let again = sent(&mut lane, at(2), &rules);
    assert_eq!((again.notice.name.as_str(), again.attempts), ("a1", 1));
}

#[test]
fn one_message_that_always_fails_does_not_hold_up_the_others() {
    let mut lane = lane(&[("poison", "p"), ("b1", "b"), ("c1", "c")]);
    let rules = rules(None, 1);
    let poison = sent(&mut lane, at(0), &rules);
    lane.finished(poison, &transient(), at(0), &rules.limits);
    // After the lane's pause, the next subject's turn comes once the poisoned one waits for its own time.
    let mut now = at(0);
    let mut names = Vec::new();
    for _ in 0..40 {
        now += SignedDuration::from_millis(500);
        if let Next::Send(item) = lane.next(now, &rules) {
            names.push(item.notice.name.clone());
            let outcome = if item.notice.name == "poison" { transient() } else { delivered() };
            lane.finished(item, &outcome, now, &rules.limits);
        }
    }
    assert!(names.contains(&"b1".to_owned()) && names.contains(&"c1".to_owned()), "{names:?}");
    assert_eq!(lane.len(), 1, "only the poisoned one is left");
}

#[test]
fn several_messages_that_always_fail_do_not_hold_up_the_others_and_keep_the_order_of_their_subjects() {
    let mut lane = lane(&[("poison1", "p"), ("poison2", "q"), ("p2", "p"), ("b1", "b"), ("c1", "c")]);
    let rules = rules(None, 1);
    let (mut now, mut names) = (at(0), Vec::new());
    while now < at(60) {
        now += SignedDuration::from_millis(500);
        if let Next::Send(item) = lane.next(now, &rules) {
            names.push(item.notice.name.clone());
            let outcome = if item.notice.name.starts_with("poison") { transient() } else { delivered() };
            lane.finished(item, &outcome, now, &rules.limits);
        }
    }
    assert!(names.contains(&"b1".to_owned()) && names.contains(&"c1".to_owned()), "{names:?}");
    assert!(!names.contains(&"p2".to_owned()), "it waits for poison1: {names:?}");
    assert_eq!(lane.len(), 3);
}

#[test]
fn a_target_that_comes_back_gets_everything_at_once() {
    let mut lane = lane(&[("a", "a"), ("b", "b"), ("c", "c")]);
    let rules = rules(None, 8);
    let mut now = at(0);
    // Down for 30 seconds: whatever is tried fails.
    while now < at(30) {
        match lane.next(now, &rules) {
            Next::Send(item) => {
                lane.finished(item, &transient(), now, &rules.limits);
            }
            Next::Wait(Some(until)) => now = until,
            other => panic!("{other:?}"),
        }
    }
    let mut got = 0;
    while got < 3 {
        match lane.next(now, &rules) {
            Next::Send(item) => {
                got += 1;
                lane.finished(item, &delivered(), now, &rules.limits);
            }
            Next::Wait(Some(until)) => now = until,
            other => panic!("{other:?}"),
        }
    }
    assert!(now < at(90), "everything arrived by {now}");
    assert!(lane.is_idle());
}

#[test]
fn the_budget_is_never_exceeded_in_any_minute() {
    let names: Vec<String> = (0..60).map(|n| format!("n{n}")).collect();
    let mut lane = Lane::default();
    for name in &names {
        lane.push(item(name, name));
    }
    let rules = rules(Some(20), 1);
    let (mut now, mut times) = (at(0), Vec::new());
    while times.len() < 60 {
        match lane.next(now, &rules) {
            Next::Send(item) => {
                times.push(now);
                lane.finished(item, &delivered(), now, &rules.limits);
                now += SignedDuration::from_millis(10);
            }
            Next::Wait(Some(until)) => now = until,
            other => panic!("{other:?}"),
        }
    }
    for (first, window) in times.iter().zip(times.iter().skip(20)) {
        assert!(window.duration_since(*first) >= WINDOW, "21 messages within a minute");
    }
}

#[test]
fn attempts_before_a_restart_count_against_the_budget() {
    let mut lane = lane(&[("a", "a")]);
    for second in 0..20 {
        lane.restore(at(second));
    }
    assert_eq!(lane.next(at(30), &rules(Some(20), 1)), Next::Wait(Some(at(60))));
    assert!(matches!(lane.next(at(60), &rules(Some(20), 1)), Next::Send(_)));
}

#[test]
fn a_throttled_lane_is_silent_for_as_long_as_it_was_told() {
    for (retry_after, until) in [(None, at(600)), (Some(Duration::from_secs(7)), at(7))] {
        let mut lane = lane(&[("a", "a"), ("b", "b")]);
        let rules = rules(None, 1);
        let item = sent(&mut lane, at(0), &rules);
        let throttled = Outcome::Throttled { code: "130101".to_owned(), message: String::new(), retry_after };
        assert_eq!(lane.finished(item, &throttled, at(0), &rules.limits), Step::Retry(until));
        assert_eq!(lane.throttled_until(), Some(until));
        assert_eq!(lane.next(at(1), &rules), Next::Wait(Some(until)));
        assert_eq!(sent(&mut lane, until, &rules).notice.name, "a");
        assert_eq!(lane.throttled_until(), None);
    }
}

#[test]
fn a_refused_message_fails_at_once_and_the_lane_goes_on() {
    let mut lane = lane(&[("a", "a"), ("b", "b")]);
    let rules = rules(None, 1);
    let item = sent(&mut lane, at(0), &rules);
    let refused = Outcome::Permanent { code: "310000".to_owned(), message: "sign not match".to_owned() };
    assert_eq!(lane.finished(item, &refused, at(0), &rules.limits), Step::Failed);
    assert_eq!(sent(&mut lane, at(0), &rules).notice.name, "b");
}

#[test]
fn an_attempt_in_doubt_is_repeated_freely_only_where_the_receiver_knows_repeats() {
    let in_doubt = Outcome::Ambiguous { code: "Timeout".to_owned(), message: String::new() };
    for (idempotent, second) in [(true, "retry"), (false, "failed")] {
        let mut lane = lane(&[("a", "a")]);
        let mut rules = rules(None, 1);
        rules.limits.idempotent = idempotent;
        let item = sent(&mut lane, at(0), &rules);
        assert!(matches!(lane.finished(item, &in_doubt, at(0), &rules.limits), Step::Retry(_)));
        let item = sent(&mut lane, at(10), &rules);
        let step = lane.finished(item, &in_doubt, at(10), &rules.limits);
        assert_eq!(matches!(step, Step::Failed), second == "failed", "{step:?}");
    }
}

#[test]
fn what_is_too_old_is_given_up_even_while_the_lane_is_silent() {
    let mut lane = lane(&[("a", "a")]);
    let mut rules = rules(None, 1);
    rules.max_age = Duration::from_secs(10);
    let item = sent(&mut lane, at(0), &rules);
    let throttled = Outcome::Throttled { code: "429".to_owned(), message: String::new(), retry_after: None };
    lane.finished(item, &throttled, at(0), &rules.limits);
    assert_eq!(lane.next(at(1), &rules), Next::Wait(Some(at(10))), "woken at the item's end, not at the throttle's");
    assert!(matches!(lane.next(at(10), &rules), Next::Expired(_)));
}

#[test]
fn a_mended_target_is_tried_at_once() {
    let mut lane = lane(&[("a", "a")]);
    let rules = rules(None, 1);
    for second in 0..5 {
        if let Next::Send(item) = lane.next(at(second * 20), &rules) {
            lane.finished(item, &transient(), at(second * 20), &rules.limits);
        }
    }
    assert!(matches!(lane.next(at(81), &rules), Next::Wait(Some(_))));
    lane.mended();
    assert!(matches!(lane.next(at(81), &rules), Next::Send(_)));
}
