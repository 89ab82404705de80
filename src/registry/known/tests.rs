use std::time::Duration;

use super::*;
use crate::api::workspace::ApprovedTag;
use crate::controller::{PollFault, Registry};
use crate::lifecycle::Transition;

fn at(clock: &str) -> Timestamp {
    format!("2026-11-24T{clock}Z").parse().unwrap()
}

fn polled(registry: Registry) -> Polled {
    Polled {
        registry,
        access: Err(PollFault::new(crate::api::condition::Reason::NotTried, "")),
        interval: Duration::from_mins(1),
        approved: ApprovedTag::default(),
        aliases: vec!["champion".to_owned()],
    }
}

/// A version of iris, registered and changed at these times.
fn version(number: u32, created: &str, updated: &str) -> Version {
    Version {
        model: "iris".to_owned(),
        version: number.to_string(),
        status: Some("READY".to_owned()),
        created: Some(at(created)),
        updated: Some(at(updated)),
        ..Version::default()
    }
}

fn approved(mut version: Version) -> Version {
    version.tags.push(("validation_status".to_owned(), "approved".to_owned()));
    version
}

/// Polls after one another, each with its time; each line is what is told: what, when it is said to have happened, and the
/// time that it cannot have been before.
fn told(registry: Registry, polls: &[(&str, Vec<Version>)]) -> Vec<Vec<String>> {
    let polled = polled(registry);
    let mut known: Option<Known> = None;
    let short = |time: Timestamp| time.strftime("%H:%M").to_string();
    polls
        .iter()
        .map(|(clock, versions)| {
            let look = Look { namespace: "vision", now: at(clock), lookback: SignedDuration::from_hours(2) };
            let (news, all) = news(versions, &polled, known.as_ref(), &look);
            known = Some(match known.take() {
                Some(known) => known.then(look.now, all),
                None => Known::first(look.now, all),
            });
            let one = |Published { observation: it, .. }: Published| {
                let time = it.detected.time.map_or_else(|| "-".to_owned(), short);
                let (subject, transition) = (&it.subject.name, it.detected.transition);
                format!("{subject} {transition} {} {time} {}", it.detected.reason, short(it.effective))
            };
            news.into_iter().map(one).collect()
        })
        .collect()
}

#[test]
fn an_approval_after_the_first_look_is_told_once_with_the_time_of_the_poll_that_saw_it() {
    let old = version(1, "01:00:00", "01:00:00");
    let polls = [
        ("12:00:00", vec![old.clone()]),
        ("12:01:00", vec![approved(old.clone())]),
        ("12:02:00", vec![approved(old.clone())]),
    ];
    let found = told(Registry::Mlflow, &polls);
    assert_eq!(found, [vec![], vec!["iris/1 Approved Approved - 12:01".to_owned()], vec![]]);
}

#[test]
fn the_registrys_time_counts_where_it_moved() {
    let old = version(1, "01:00:00", "01:00:00");
    let moved = |clock: &str| approved(Version { updated: Some(at(clock)), ..old.clone() });
    for (updated, expected) in [
        ("12:00:30", "iris/1 Approved Approved 12:00 12:00"),
        // Its clock is ahead: it cannot have been later than now.
        ("13:00:00", "iris/1 Approved Approved 13:00 12:01"),
        ("11:59:00", "iris/1 Approved Approved - 12:01"),
    ] {
        let found = told(Registry::Mlflow, &[("12:00:00", vec![old.clone()]), ("12:01:00", vec![moved(updated)])]);
        assert_eq!(found[1], [expected]);
    }
}

#[test]
fn a_first_look_tells_of_young_versions_alone_and_dates_them_as_early_as_can_be() {
    let first = |version: Version| told(Registry::Mlflow, &[("12:00:00", vec![version])]).remove(0);
    // It may have been approved long ago, although it was changed a moment ago.
    assert!(first(approved(version(1, "01:00:00", "11:59:00"))).is_empty());
    assert_eq!(
        first(approved(version(2, "11:00:00", "11:30:00"))),
        ["iris/2 StatusChanged Ready 11:30 11:00", "iris/2 Approved Approved 11:30 11:00"]
    );
    assert!(first(Version { created: None, ..approved(version(3, "11:00:00", "11:30:00")) }).is_empty());
}

#[test]
fn a_new_version_and_each_of_its_statuses_is_told_once() {
    let with = |status: &str, updated: &str| Version {
        status: Some(status.to_owned()),
        updated: Some(at(updated)),
        ..version(1, "12:00:30", "12:00:30")
    };
    let polls = [
        ("12:00:00", vec![]),
        ("12:01:00", vec![with("PENDING_REGISTRATION", "12:00:30")]),
        ("12:02:00", vec![with("READY", "12:01:30")]),
        ("12:03:00", vec![with("READY", "12:02:30")]),
    ];
    assert_eq!(
        told(Registry::Mlflow, &polls),
        [
            vec![],
            vec!["iris/1 StatusChanged PendingRegistration 12:00 12:00".to_owned()],
            vec!["iris/1 StatusChanged Ready 12:01 12:01".to_owned()],
            vec![]
        ]
    );
}

#[test]
fn what_is_missing_for_one_poll_is_not_told_again_and_what_comes_back_from_a_backup_neither() {
    let old = approved(version(1, "01:00:00", "01:00:00"));
    for gaps in [1, 3] {
        let mut polls = vec![("12:00:00", vec![old.clone()])];
        polls.extend((0..gaps).map(|_| ("12:01:00", vec![])));
        polls.push(("12:10:00", vec![old.clone()]));
        assert!(told(Registry::Mlflow, &polls).iter().all(Vec::is_empty), "{gaps}");
    }
}

#[test]
fn an_alias_that_moves_approves_the_version_that_gets_it() {
    let (one, two) = (version(1, "01:00:00", "01:00:00"), version(2, "02:00:00", "02:00:00"));
    let champion = |version: &Version| Version { aliases: vec!["champion".to_owned()], ..version.clone() };
    let polls = [("12:00:00", vec![champion(&one), two.clone()]), ("12:01:00", vec![one.clone(), champion(&two)])];
    assert_eq!(told(Registry::Mlflow, &polls), [vec![], vec!["iris/2 Approved Approved - 12:01".to_owned()]]);
}

#[test]
fn another_replica_gives_the_same_event_the_same_name() {
    let look = |clock: &str| Look { namespace: "vision", now: at(clock), lookback: SignedDuration::from_hours(24) };
    let versions = [approved(version(1, "11:00:00", "11:30:00"))];
    let names = |clock: &str| {
        let (news, _) = news(&versions, &polled(Registry::Mlflow), None, &look(clock));
        let name = |it: &Published| it.observation.key("vision").notice_name(&it.observation.subject.name);
        news.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names("12:00:00"), names("13:00:00"));
    assert_eq!(names("12:00:00").len(), 2);
    let (found, _) = news(&versions, &polled(Registry::Kubeflow), None, &look("12:00:00"));
    let approval = found.iter().find(|it| it.observation.detected.transition == Transition::Approved).unwrap();
    let name = approval.observation.key("vision").notice_name("iris/1");
    assert!(!names("12:00:00").contains(&name), "another registry has other models");
}

#[test]
fn what_the_webhook_tells_and_what_is_found_by_asking_is_one_event() {
    use crate::bus::mapping::Arrival;
    let spec: crate::api::workspace::Mlflow = serde_json::from_value(serde_json::json!({
        "webhookSecretRef": {"name": "a", "key": "b"}, "poll": {"url": "http://mlflow"}}))
    .unwrap();
    let version = Version { aliases: vec!["champion".to_owned()], ..approved(version(1, "11:00:00", "11:30:00")) };
    let look = Look { namespace: "vision", now: at("12:00:00"), lookback: SignedDuration::from_hours(24) };
    let (found, _) = news(&[version], &polled(Registry::Mlflow), None, &look);
    let name = |it: &Published| it.observation.key("vision").notice_name(&it.observation.subject.name);
    let asked: Vec<String> = found.iter().map(name).collect();
    let arrival = Arrival { workspace: "vision", namespace: "vision", now: at("12:00:00"), lookback: look.lookback };
    let calls = [
        ("model_version", "created", serde_json::json!({"name": "iris", "version": "1", "tags": {"team": "a"}})),
        (
            "model_version_tag",
            "set",
            serde_json::json!({"name": "iris", "version": 1, "key": "validation_status", "value": "approved"}),
        ),
        ("model_version_alias", "created", serde_json::json!({"name": "iris", "version": "1", "alias": "champion"})),
    ];
    for ((entity, action, data), asked) in calls.into_iter().zip(&asked) {
        let body = serde_json::json!({"entity": entity, "action": action, "data": data}).to_string();
        for delivery in ["d1", "d2"] {
            let told = crate::bus::mlflow::read(body.as_bytes(), delivery, &spec, &arrival).unwrap().unwrap();
            assert_eq!(&name(&told), asked, "{body}");
        }
    }
    assert_eq!(asked.len(), 3);
}
